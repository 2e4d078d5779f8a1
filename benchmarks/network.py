"""The network of `RVC2`, of full size with random weights, against its plain form in one pass.

Both forms get the same latents' noise and the same noise of the source, in turns, and the best of several
runs of each counts, so that what else runs on the machine disturbs both alike.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from copy import deepcopy

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.bench import THREADS, Bench, Figure
from rvc.device import conversion_type
from rvc.rvc2.geometry import Geometry
from rvc.rvc2.layers import fold_weight_norm
from rvc.rvc2.network import Features, Network
from rvc.rvc2.synthesizer import BLOCK_FRAMES

_COMMAND = "make bench ONLY=convert-cpu-rvc2-network"
_FRAMES = 1000
_REPEATS = 3
_MATRIX = 2048


@torch.inference_mode()
def convert_cpu_rvc2_network(bench: Bench) -> Iterator[Figure]:
    """Seconds for a second of sound at 40 kHz, by stage, and how far the sound is from the plain one."""
    torch.set_num_threads(int(THREADS))
    plain, packed = networks()
    features, noises = inputs(plain.geometry)
    lower = conversion_type(torch.device("cpu"))
    rate = matrix_rate(lower)
    stages = {
        "": lambda network: network.infer(features, *noises, block_frames=_blocks(network)),
        "-prior": lambda network: network.enc_p(features.content, features.pitch, features.mask),
        "-flow": lambda network: network.flow(
            noises[0], features.mask, network.speaker(features.speaker), inverse=True
        ),
        "-decoder": lambda network: network.dec.in_blocks(
            noises[0],
            network.dec.source(features.f0_hertz, noises[1]),
            network.speaker(features.speaker),
            _blocks(network),
        ),
    }
    for suffix, stage in stages.items():
        with FlopCounterMode(display=False) as counter:
            whole = stage(plain)
        seconds, heard = best(lambda stage=stage: stage(plain), lambda stage=stage: stage(packed))
        per_second = 100 / _FRAMES
        yield Figure(
            f"convert-cpu-rvc2-network{suffix}",
            seconds[1] * per_second,
            "s per s",
            _COMMAND,
            seconds[0] * per_second,
            counter.get_total_flops() / rate * per_second,
        )
        if not suffix:
            difference = heard.sub(whole).square().mean() / whole.var()
            yield Figure("convert-cpu-rvc2-network-error", 10 * math.log10(difference), "dB", _COMMAND)
    yield Figure(f"matrix-rate-{str(lower).removeprefix('torch.')}", rate / 1e9, "GFLOP/s", _COMMAND)


def networks() -> tuple[Network, Network]:
    """The same weights as they are learnt, and as a CPU converts."""
    torch.manual_seed(0)
    plain = Network(Geometry.official("v2", 40000, f0=True)).eval().requires_grad_(False)
    for name, parameter in plain.flow.named_parameters():
        if ".post." in name:
            # Couplings start as the identity.
            torch.nn.init.normal_(parameter, std=0.02)
    packed = deepcopy(plain)
    fold_weight_norm(packed)
    packed.pack(conversion_type(torch.device("cpu")))
    return plain, packed


def inputs(geometry: Geometry) -> tuple[Features, tuple[torch.Tensor, torch.Tensor]]:
    """Features of ten seconds, and noise for latents and source."""
    voiced = torch.arange(_FRAMES) % 100 < 70
    f0 = torch.where(voiced, 120 + 60 * torch.linspace(0, 9, _FRAMES).sin(), 0.0)
    features = Features(
        content=torch.randn(1, _FRAMES, geometry.content_dimension),
        lengths=torch.tensor([_FRAMES]),
        speaker=torch.tensor([0]),
        pitch=torch.where(voiced, 60, 1)[None],
        f0_hertz=f0[None],
    )
    noise = torch.randn(1, geometry.inter_channels, _FRAMES), torch.randn(1, _FRAMES * geometry.hop)
    return features, noise


def best(
    plain: Callable[[], torch.Tensor], other: Callable[[], torch.Tensor]
) -> tuple[tuple[float, float], torch.Tensor]:
    """Shortest seconds of both, run in turns, and what the other gave."""
    seconds = [math.inf, math.inf]
    for _ in range(_REPEATS):
        for i, run in enumerate((plain, other)):
            started = time.perf_counter()
            given = run()
            seconds[i] = min(seconds[i], time.perf_counter() - started)
    return (seconds[0], seconds[1]), given


def matrix_rate(number: torch.dtype) -> float:
    """Operations a second of a product of matrices that fit into the caches."""
    a, b = torch.randn(2, _MATRIX, _MATRIX).to(number)
    (seconds, _), _ = best(lambda: a @ b, lambda: a @ b)
    return 2 * _MATRIX**3 / seconds


def _blocks(network: Network) -> int:
    """The plain form in one pass."""
    return BLOCK_FRAMES if network.packed else _FRAMES
