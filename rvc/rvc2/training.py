"""One run of training `RVC2`: a generator against discriminators, by the community's recipe.

    1. a pass over whole pieces; the decoder sees an excerpt of each
    2. the discriminators learn to tell it from the recording
    3. the generator learns to fool them, and to match the recording's features, mel spectrogram and prior

Where we differ: the mel spectrogram of the recording is taken of the excerpt alone, like that of the sound
that it is compared with; the batch is the whole batch whatever the number of accelerators; nothing of the
training set is left out.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from rvc.architectures.interface import VALIDATION, Hyperparameters, Losses, TrainingSet
from rvc.base_models import PretrainedPart, has_base_model, open_base_model, pretrained_name
from rvc.contract import TrainingSettings
from rvc.errors import InvalidConfiguration
from rvc.parallel import Parallel
from rvc.rvc2.batches import Batch, Batches, Draw, Timeline, pieces_of
from rvc.rvc2.descent import Descent, computing_type, learning_rate
from rvc.rvc2.discriminators import OFFICIAL_WIDTH, Discriminators
from rvc.rvc2.geometry import SPEAKER_TABLE, Geometry
from rvc.rvc2.losses import (
    MEL_WEIGHT,
    adversarial_loss,
    discriminator_losses,
    divergence,
    feature_loss,
    mel_loss,
)
from rvc.rvc2.network import Learnt, Network
from rvc.rvc2.spectrogram import Spectrograms
from rvc.rvc2.state import load_state

log = logging.getLogger(__name__)

_LOSSES = ("discriminator", "adversarial", "features", "mel", "kl")
"""The first is the discriminators', the sum of the others the generator's."""
_LARGEST_VALIDATION_FRAMES = 6000


@dataclass(frozen=True)
class Sizes:
    """Of everything that learns."""

    geometry: Geometry
    segment_frames: int
    """Of the excerpts."""
    discriminator_width: int = OFFICIAL_WIDTH

    @staticmethod
    def official(dataset: TrainingSet) -> Sizes:
        """Those of the base models for a training set. Raises InvalidConfiguration where there are none."""
        dimension = dataset.content.shape[1]
        versions = {256: "v1", 768: "v2"}
        if dimension not in versions:
            raise InvalidConfiguration(
                f"architecture RVC2 reads content of 768 (or 256) dimensions, and that of this encoder has "
                f"{dimension}; use contentEncoder: ContentVec, or architecture: Light"
            )
        geometry = Geometry.official("v1" if dimension == 256 else "v2", dataset.sample_rate_hertz, f0=True)
        return Sizes(geometry, geometry.training.segment_samples // geometry.hop)

    def with_speakers_of(self, base_models: Path | None) -> Sizes:
        """The same with as many speakers as the generator has that training starts from: base models made by
        other programs have fewer than the official ones."""
        geometry = self.geometry
        name = _base_model(geometry, PretrainedPart.GENERATOR)
        if not has_base_model(name, base_models):
            return self
        table = open_base_model(name, base_models).tensors.get(SPEAKER_TABLE)
        return self if table is None else replace(self, geometry=geometry.with_speakers(len(table)))


class RVC2Training:
    """A `TrainingRun` of `RVC2`."""

    def __init__(
        self,
        dataset: TrainingSet,
        settings: TrainingSettings,
        sizes: Sizes,
        device: torch.device,
        parallel: Parallel,
    ) -> None:
        geometry = sizes.geometry
        if dataset.speakers > geometry.speakers:
            raise InvalidConfiguration(
                f"the dataset has {dataset.speakers} speakers, and the network that training starts from has "
                f"room for {geometry.speakers}; train several voices"
            )
        self._sizes, self._device, self._parallel = sizes, device, parallel
        self._batch_parts = settings.batch_parts
        self._batches = Batches(
            dataset, geometry, sizes.segment_frames, settings.batch_size, settings.seed, device
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            generator = Network(geometry, posterior=True)
            discriminators = Discriminators(geometry.version, sizes.discriminator_width)
        generator.dec.checkpointing = settings.gradient_checkpointing
        self._generator, self._discriminators = generator.to(device), discriminators.to(device)
        self._computes_in = computing_type(settings.precision, device)
        self._scaler = torch.amp.GradScaler(device.type, enabled=self._computes_in == torch.float16)
        self._generator_descent = Descent(self._generator, self._scaler, parallel)
        self._discriminators_descent = Descent(self._discriminators, self._scaler, parallel)
        self._spectrograms = Spectrograms(geometry).to(device)
        self._steps_done = 0

    @property
    def steps_per_epoch(self) -> int:
        """Steps in one pass over all pieces."""
        return self._batches.steps_per_epoch

    @property
    def steps_done(self) -> int:
        """Optimiser steps so far, each of which is one of the generator and one of the discriminators."""
        return self._steps_done

    @property
    def hyperparameters(self) -> Hyperparameters:
        """The sizes of the generator."""
        return self._sizes.geometry.to_dict()

    def start_from(self, base_models: Path | None) -> None:
        """Take over the weights of the official base models, those that the folder has.

        Raises ArtifactCorrupt for weights that do not fit.
        """
        geometry = self._sizes.geometry
        parts = {
            PretrainedPart.GENERATOR: self._generator,
            PretrainedPart.DISCRIMINATOR: self._discriminators,
        }
        for part, network in parts.items():
            name = _base_model(geometry, part)
            if has_base_model(name, base_models):
                load_state(network, open_base_model(name, base_models).tensors, f"the base model {name}")
            else:
                log.warning("no base model %s: the %s starts untrained, which takes far longer", name, part)

    def step(self) -> Losses:
        """One step of the discriminators and one of the generator, on one batch."""
        draw = self._batches.draw(self._steps_done)
        items = self._parallel.parts(len(draw.pieces), self._batch_parts)
        parts = [draw.part(some) for some in items]
        rate = learning_rate(self._steps_done // self.steps_per_epoch)
        values = torch.zeros(len(_LOSSES), device=self._device)
        # What is left of a pass is large. Of several parts each is passed again for the generator's step.
        at_once = len(parts) == 1
        for part in parts:
            with torch.set_grad_enabled(at_once):
                passed = self._pass(part)
            loss = self._discriminator_loss(*passed, len(part.pieces) / len(draw.pieces))
            self._discriminators_descent.add(loss)
            values[0] += loss.detach()
        self._discriminators_descent.step(rate)
        for part in parts:
            passed = passed if at_once else self._pass(part)
            losses = self._generator_losses(*passed, len(part.pieces) / len(draw.pieces), draw.frames)
            self._generator_descent.add(losses.sum())
            values[1:] += losses.detach()
        self._generator_descent.step(rate)
        self._scaler.update()
        self._steps_done += 1
        self._parallel.sum([values])
        return dict(zip(_LOSSES, values, strict=True))

    @torch.no_grad()
    def validate(self, held_out: TrainingSet) -> dict[str, float]:
        """Distance of log-mel spectrograms (mean, in nepers) between held-out recordings, up to a minute, and
        what conversion makes of their features."""
        geometry, sums, frames = self._sizes.geometry, 0.0, 0
        timeline = Timeline(held_out, geometry, self._device)
        for piece in pieces_of(held_out):
            if frames >= _LARGEST_VALIDATION_FRAMES:
                break
            features, recorded = timeline.features([piece], max(piece.frames, self._sizes.segment_frames))
            sound = self._generator.infer(features)
            distance = mel_loss(self._spectrograms(sound[:, 0]), self._spectrograms(recorded))
            sums += float(distance) / MEL_WEIGHT * piece.frames
            frames += piece.frames
        return {VALIDATION: sums / frames}

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        return {
            "steps_done": self._steps_done,
            "generator": self._generator.state_dict(),
            "discriminators": self._discriminators.state_dict(),
            "generator_descent": self._generator_descent.state_dict(),
            "discriminators_descent": self._discriminators_descent.state_dict(),
            "scaler": self._scaler.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken. Raises ArtifactCorrupt for weights that do not
        fit."""
        load_state(self._generator, state["generator"], "the generator in the checkpoint")
        load_state(self._discriminators, state["discriminators"], "the discriminators in the checkpoint")
        self._generator_descent.load_state_dict(state["generator_descent"])
        self._discriminators_descent.load_state_dict(state["discriminators_descent"])
        self._scaler.load_state_dict(state["scaler"])
        self._steps_done = state["steps_done"]

    def export(self) -> dict[str, torch.Tensor]:
        """What conversion needs of the generator, float16 on the CPU, as in the community's files."""
        return {
            name: tensor.half().cpu().contiguous()
            for name, tensor in self._generator.state_dict().items()
            if not name.startswith("enc_q.")
        }

    def _pass(self, draw: Draw) -> tuple[Learnt, Batch]:
        batch = self._batches.gather(draw, self._spectrograms)
        with self._autocast():
            learnt: Learnt = self._generator(
                batch.features,
                batch.spectrogram,
                batch.posterior_noise,
                batch.source_noise,
                batch.slice_frames,
                self._sizes.segment_frames,
            )
        return learnt, batch

    def _discriminator_loss(self, learnt: Learnt, batch: Batch, share: float) -> torch.Tensor:
        """A part's share of the batch's loss."""
        self._discriminators.requires_grad_(True)
        with self._autocast():
            real = self._discriminators(batch.recorded)
            fake = self._discriminators(learnt.sound.detach())
        on_real = discriminator_losses([score for score, _ in real], recorded=True)
        on_fake = discriminator_losses([score for score, _ in fake], recorded=False)
        return share * (on_real.sum() + on_fake.sum())

    def _generator_losses(self, learnt: Learnt, batch: Batch, share: float, frames: int) -> torch.Tensor:
        """[4]: a part's share of the batch's losses, in the order of `_LOSSES`."""
        self._discriminators.requires_grad_(False)
        with self._autocast():
            fake = self._discriminators(learnt.sound)
            with torch.no_grad():
                real = self._discriminators(batch.recorded)
        mel = mel_loss(self._spectrograms(learnt.sound[:, 0]), self._spectrograms(batch.recorded[:, 0]))
        # Divergence is per frame of the whole batch.
        of_frames = divergence(learnt) / frames
        return torch.stack(
            [share * adversarial_loss(fake), share * feature_loss(fake, real), share * mel, of_frames]
        )

    def _autocast(self) -> torch.autocast:
        lower = self._computes_in != torch.float32
        return torch.autocast(self._device.type, self._computes_in if lower else None, enabled=lower)


def _base_model(geometry: Geometry, part: PretrainedPart) -> str:
    return pretrained_name(geometry.version, geometry.sample_rate_hertz, geometry.f0, part)
