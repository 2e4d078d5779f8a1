"""One run of training `Light`: AdamW on spectral distances and later against an adversary, and a moving
average of the weights, which is the voice."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from rvc.architectures.interface import ROWS_PER_SECOND, VALIDATION, Hyperparameters, Losses, TrainingSet
from rvc.contract import Precision, TrainingSettings
from rvc.errors import InvalidConfiguration
from rvc.light.adversary import RESOLUTIONS, Adversary, Verdict
from rvc.light.batches import SEGMENT_ROWS, Batch, Batches, recorded_segments
from rvc.light.decoder import Decoder
from rvc.light.excitation import pulse_train
from rvc.light.geometry import Geometry
from rvc.light.losses import SpectralLoss
from rvc.light.network import Network
from rvc.light.schedule import Schedule
from rvc.parallel import SINGLE

_BETAS = (0.9, 0.98)
_WEIGHT_DECAY = 0.01
_LARGEST_GRADIENT = 1.0
_AVERAGE_DECAY = 0.998
_BIAS_SECONDS = 60

_ADVERSARIAL_WEIGHT = 1.0
_MATCHING_WEIGHT = 4.0
"""Strong ones: weak ones change little in the few hundred steps that there are."""
_JUDGED_SECONDS = 8
"""Of a batch; the adversary costs as much as all the rest."""
_ADVERSARY_RATE = 5e-4
_ADVERSARY_BETAS = (0.8, 0.99)


class LightTraining:
    """A `TrainingRun` of `Light`."""

    def __init__(self, dataset: TrainingSet, settings: TrainingSettings, device: torch.device) -> None:
        self._dataset = dataset
        self._geometry = Geometry(dataset.sample_rate_hertz)
        self._device = device
        self._lower_precision = _lower_precision(settings.precision, device)
        self._batch_parts = settings.batch_parts
        batch_seconds = settings.batch_size * SEGMENT_ROWS / ROWS_PER_SECOND
        self._schedule = Schedule(settings.epochs, max(1, round(dataset.seconds / batch_seconds)))
        self._steps_done = 0
        self._generator = torch.Generator().manual_seed(settings.seed)
        self._batches = Batches(dataset, settings.batch_size, self._generator, device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            network = Network(dataset.content.shape[1], self._geometry)
            self._adversary = Adversary(self._geometry).to(device)
        _start_at_mean_spectrum(network, dataset, self._geometry)
        self._network = network.to(device)
        self._average = copy.deepcopy(self._network).requires_grad_(False)
        self._decoder = Decoder(self._geometry).to(device)
        self._loss = SpectralLoss(self._geometry).to(device)
        self._optimizer = torch.optim.AdamW(
            self._network.parameters(), betas=_BETAS, weight_decay=_WEIGHT_DECAY, fused=True
        )
        self._adversary_optimizer = torch.optim.AdamW(
            self._adversary.parameters(), _ADVERSARY_RATE, betas=_ADVERSARY_BETAS, fused=True
        )

    @property
    def steps_per_epoch(self) -> int:
        """Steps in one pass over the seconds of the training set."""
        return self._schedule.steps_per_epoch

    @property
    def steps_done(self) -> int:
        """Optimiser steps so far."""
        return self._steps_done

    def step(self) -> Losses:
        """One optimiser step on a random batch, of the synthesizer and, in its time, of the adversary."""
        for group in self._optimizer.param_groups:
            group["lr"] = self._schedule.learning_rate(self._steps_done)
        batch = self._batches.draw()
        with torch.no_grad():
            recorded = self._loss.magnitudes(batch.audio)
        synthesized = self._loss.magnitudes(self._in_parts(batch))
        spectral, mel = self._loss(synthesized, recorded)
        objective, losses = spectral + mel, {"spectral": spectral.detach(), "mel": mel.detach()}
        adversarial = self._steps_done >= self._schedule.first_adversarial_step
        if adversarial:
            verdict = self._judge(synthesized, recorded)
            objective = objective + self._schedule.adversary_weight(self._steps_done) * (
                _ADVERSARIAL_WEIGHT * verdict.adversarial + _MATCHING_WEIGHT * verdict.feature_matching
            )
            losses |= {
                "discriminator": verdict.discriminator.detach(),
                "adversarial": verdict.adversarial.detach(),
                "featureMatching": verdict.feature_matching.detach(),
            }
        self._optimizer.zero_grad()
        objective.backward(inputs=list(self._network.parameters()))
        nn.utils.clip_grad_norm_(self._network.parameters(), _LARGEST_GRADIENT)
        self._optimizer.step()
        if adversarial:
            # Only now: the synthesizer's gradient needed the weights as they were.
            self._adversary_optimizer.step()
        self._steps_done += 1
        self._update_average()
        return losses

    @property
    def hyperparameters(self) -> Hyperparameters:
        """None: tensors and rate tell all."""
        return {}

    @torch.no_grad()
    def validate(self, held_out: TrainingSet) -> dict[str, float]:
        """Spectral distances of the averaged network's sound on up to a minute of held-out clips, as they
        were recorded."""
        batch = recorded_segments(held_out, self._device)
        sound = self._synthesize(batch, self._average)
        spectral, mel = self._loss(self._loss.magnitudes(sound), self._loss.magnitudes(batch.audio))
        return {VALIDATION: float(spectral + mel)}

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        return {
            "steps_done": self._steps_done,
            "network": self._network.state_dict(),
            "average": self._average.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "adversary": self._adversary.state_dict(),
            "adversary_optimizer": self._adversary_optimizer.state_dict(),
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken."""
        self._network.load_state_dict(state["network"])
        self._average.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._adversary.load_state_dict(state["adversary"])
        self._adversary_optimizer.load_state_dict(state["adversary_optimizer"])
        self._generator.set_state(state["generator"].cpu())
        self._steps_done = state["steps_done"]

    def export(self) -> dict[str, torch.Tensor]:
        """Averaged weights, float32 on the CPU."""
        return {name: tensor.cpu().contiguous() for name, tensor in self._average.state_dict().items()}

    def _in_parts(self, batch: Batch) -> torch.Tensor:
        """The network's sound. Of several parts only the sound is kept; the rest is computed again for the
        gradient."""
        if self._batch_parts == 1:
            return self._synthesize(batch, self._network)
        parts = SINGLE.parts(len(batch.audio), self._batch_parts)
        sounds = [
            checkpoint(self._synthesize, batch.part(items), self._network, use_reentrant=False)
            for items in parts
        ]
        return torch.cat(sounds)

    def _synthesize(self, batch: Batch, network: Network) -> torch.Tensor:
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._lower_precision):
            log_magnitudes = network(batch.features)
        pulses = pulse_train(
            batch.f0_hertz, batch.voiced, batch.phase_cycles, self._geometry.sample_rate_hertz
        )
        return torch.as_tensor(self._decoder(log_magnitudes, pulses, batch.noise))

    def _judge(self, synthesized: list[torch.Tensor], recorded: list[torch.Tensor]) -> Verdict:
        """The adversary's losses; its weights have the gradients of its own when this returns."""
        judged = slice(0, _JUDGED_SECONDS)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._lower_precision):
            verdict: Verdict = self._adversary(
                [magnitudes[judged] for magnitudes in synthesized[:RESOLUTIONS]],
                [magnitudes[judged] for magnitudes in recorded[:RESOLUTIONS]],
                self._generator,
            )
        weights = list(self._adversary.parameters())
        gradients = torch.autograd.grad(verdict.discriminator, weights, retain_graph=True)
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = gradient
        return verdict

    @torch.no_grad()
    def _update_average(self) -> None:
        # Early on the average follows quickly, or it would remember the untrained network.
        decay = min(_AVERAGE_DECAY, (1 + self._steps_done) / (10 + self._steps_done))
        torch._foreach_lerp_(list(self._average.parameters()), list(self._network.parameters()), 1 - decay)


def _lower_precision(precision: Precision, device: torch.device) -> bool:
    """Whether the network computes in bfloat16."""
    if precision == Precision.FP16:
        raise InvalidConfiguration("precision FP16 is not for architecture Light; use Auto, BF16 or FP32")
    if precision != Precision.AUTO:
        return precision == Precision.BF16
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Where bfloat16 is emulated it is several times slower than float32.
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


@torch.no_grad()
def _start_at_mean_spectrum(network: Network, dataset: TrainingSet, geometry: Geometry) -> None:
    """Set the last bias so that the untrained network already has the speaker's average colour.

    Harmonics start half a neper above the mean log spectrum of the first minute, noise half a neper below.
    """
    audio = np.ascontiguousarray(dataset.audio[: _BIAS_SECONDS * dataset.sample_rate_hertz])
    window = torch.hann_window(geometry.fft_size)
    spectrum = torch.stft(
        torch.from_numpy(audio), geometry.fft_size, geometry.hop, window=window, return_complex=True
    )
    mean = spectrum.abs().clamp_min(1e-4).log().mean(-1) - window.square().sum().sqrt().log()
    bins = (geometry.band_hertz() / geometry.bin_hertz()[1]).round().long().clamp_max(geometry.bins - 1)
    network.leave.bias.copy_(torch.cat([mean[bins] + 0.5, mean[bins] - 0.5]))
