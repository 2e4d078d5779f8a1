"""Train `Small` to say what its teacher says: `python -m rvc.content.small.distil --help`.

The teacher is `WhisperBase`. README.md beside this file has the corpora, the command and what came of it.
"""

from __future__ import annotations

import argparse
import copy
import logging
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from rvc.base_models import BaseModelName, open_base_model
from rvc.content.small.agreement import Timeline, agreement
from rvc.content.small.augment import Disguise, plain_samples
from rvc.content.small.corpora import load_corpus, measure_standard
from rvc.content.small.network import (
    DIMENSION,
    FFT_SIZE,
    SAMPLES_PER_ROW,
    SmallNetwork,
    log_mel,
    mel_filters,
    power_spectrum,
)
from rvc.content.small.packing import pack, unpack
from rvc.content.whisper import WhisperEncoder

log = logging.getLogger(__name__)

_SEGMENT_ROWS = 400
_BATCH = 4
_LEARNING_RATE = 4e-5
_WARM_UP_SHARE = 0.03
_BETAS = (0.9, 0.98)
_WEIGHT_DECAY = 0.01
_CLIP = 1.0
_AVERAGE_DECAY = 0.99
_COSINE_WEIGHT = 2.0
_FITTING_BATCHES = 40
_RIDGE = 1e-3
_REPORT_SECONDS = 300.0


class Segments:
    """Random segments; a corpus is drawn with the root of its length, so that small ones count."""

    def __init__(self, timelines: Sequence[Timeline], generator: torch.Generator) -> None:
        self._timelines = timelines
        self._generator = generator
        self._shares = torch.tensor([math.sqrt(len(each.targets)) for each in timelines])

    def draw(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Samples [batch, ...] with half an FFT on both sides, and targets [batch, rows, 512]."""
        samples, targets = [], []
        for which in torch.multinomial(self._shares, _BATCH, replacement=True, generator=self._generator):
            line = self._timelines[int(which)]
            start = int(
                torch.randint(1, len(line.targets) - _SEGMENT_ROWS - 1, (), generator=self._generator)
            )
            first = start * SAMPLES_PER_ROW - FFT_SIZE // 2
            samples.append(line.audio[first : first + plain_samples(2 * _SEGMENT_ROWS)])
            targets.append(line.targets[start : start + _SEGMENT_ROWS])
        audio = torch.from_numpy(np.stack(samples)).float() / 32768.0
        return audio, torch.from_numpy(np.stack(targets)).float()


def loss_of(features: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference and angle, over rows of unit variance."""
    angle = 1.0 - F.cosine_similarity(features, targets, dim=-1).mean()
    return F.l1_loss(features, targets) + _COSINE_WEIGHT * angle


def train(
    network: SmallNetwork,
    timelines: Sequence[Timeline],
    held_out: Sequence[Timeline],
    minutes: float,
    out: Path,
) -> None:
    """Train for so long; the average of the weights goes to `out` at every report and at the end."""
    generator = torch.Generator().manual_seed(0)
    segments, disguise, filters = Segments(timelines, generator), Disguise(generator), mel_filters()
    average = copy.deepcopy(network)
    optimiser = torch.optim.AdamW(
        network.parameters(), _LEARNING_RATE, betas=_BETAS, weight_decay=_WEIGHT_DECAY
    )
    losses: list[float] = []
    steps = 0
    save(average, out)
    began = reported = time.monotonic()
    while (share := (time.monotonic() - began) / (60.0 * minutes)) < 1.0:
        for group in optimiser.param_groups:
            group["lr"] = _LEARNING_RATE * _schedule(share)
        samples, targets = segments.draw()
        mel = log_mel(disguise(samples), filters)
        with torch.autocast("cpu", torch.bfloat16):
            features = network(mel)
        loss = loss_of(features.float(), targets)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), _CLIP)
        optimiser.step()
        steps += 1
        _follow(average, network, min(_AVERAGE_DECAY, steps / (steps + 10.0)))
        losses.append(loss.item())
        if steps % 50 == 0:
            log.info("step %d, %.0f %%: loss %.4f", steps, 100 * share, float(np.mean(losses)))
            losses = []
        if time.monotonic() - reported > _REPORT_SECONDS:
            reported = time.monotonic()
            save(average, out)
            for line in agreement(average, held_out):
                log.info("%s", line)
    save(average, out)
    log.info("%d steps", steps)
    for line in agreement(average, held_out):
        log.info("%s", line)


def _schedule(share: float) -> float:
    """Learning rate at a share of the time, of its largest: up in a line, down in a cosine."""
    if share < _WARM_UP_SHARE:
        return (share + 1e-3) / _WARM_UP_SHARE
    return 0.5 + 0.5 * math.cos(math.pi * share)


@torch.no_grad()
def _follow(average: SmallNetwork, network: SmallNetwork, decay: float) -> None:
    for slow, fast in zip(average.parameters(), network.parameters(), strict=True):
        slow.lerp_(fast, 1.0 - decay)


def save(network: SmallNetwork, path: Path) -> None:
    """Weights as `pack` rounds them."""
    save_file(pack(network.state_dict()), path)


@torch.no_grad()
def begin_as(
    teacher: Mapping[str, torch.Tensor], timelines: Sequence[Timeline], batches: int = _FITTING_BATCHES
) -> SmallNetwork:
    """A network of the teacher's first blocks with the map to the targets that least squares find."""
    network = SmallNetwork()
    own = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith("leave")}
    known = {name: tensor.float() for name, tensor in teacher.items() if name in own}
    network.load_state_dict(known, strict=False)
    segments, filters = Segments(timelines, torch.Generator().manual_seed(1)), mel_filters()
    window = torch.hann_window(FFT_SIZE)
    squares = torch.zeros(DIMENSION + 1, DIMENSION + 1)
    products = torch.zeros(DIMENSION + 1, DIMENSION)
    for _ in range(batches):
        samples, targets = segments.draw()
        rows = network.body(log_mel(power_spectrum(samples, window), filters)).flatten(0, 1)
        rows = torch.cat([rows, torch.ones(len(rows), 1)], 1)
        squares += rows.T @ rows
        products += rows.T @ targets.flatten(0, 1)
    ridge = _RIDGE * squares.diagonal().diag()
    solution = torch.linalg.solve(squares + ridge, products)
    network.leave.weight.copy_(solution[:-1].T)
    network.leave.bias.copy_(solution[-1])
    return network


def begin_from(path: Path) -> SmallNetwork:
    """A network with the weights of a file that `save` wrote."""
    network = SmallNetwork()
    shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
    network.load_state_dict(unpack(load_file(path), shapes))
    return network


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m rvc.content.small.distil", description=__doc__)
    parser.add_argument(
        "corpora", type=Path, nargs="+", help="folders of recordings; a folder is a voice or many"
    )
    parser.add_argument(
        "--held-out", type=Path, nargs="*", default=[], help="folders to measure agreement on"
    )
    parser.add_argument("--base-models", type=Path, help="folder with the teacher (rvc fetch-base)")
    parser.add_argument("--cache", type=Path, required=True, help="folder for the teacher's rows")
    parser.add_argument("--minutes", type=float, default=60.0, help="time to train for")
    parser.add_argument("--start", type=Path, help="weights of an earlier training to go on from")
    parser.add_argument("--out", type=Path, required=True, help="weights.safetensors to write")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    weights = open_base_model(BaseModelName.WHISPER_BASE, options.base_models)
    teacher = WhisperEncoder(weights, torch.device("cpu"))
    heard = [load_corpus(folder, teacher, options.cache) for folder in options.corpora]
    standard = measure_standard(heard)
    held_out = [load_corpus(folder, teacher, options.cache) for folder in options.held_out]
    timelines, others = (
        [Timeline(each.name, each.audio, standard.targets(each)) for each in corpora]
        for corpora in (heard, held_out)
    )
    log.info("%.2f hours", sum(len(each.targets) for each in timelines) / 180_000)
    network = begin_from(options.start) if options.start else begin_as(weights.tensors, timelines)
    train(network, timelines, others, options.minutes, options.out)


if __name__ == "__main__":
    main()
