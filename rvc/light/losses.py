"""How far a synthesized second is from the recorded one: spectra at three resolutions, phases ignored."""

from __future__ import annotations

import torch
from torch import nn

from rvc.audio.mel import slaney_mel_filters
from rvc.light.geometry import Geometry

_POWER_FLOOR = 1e-7
_LOG_FLOOR = 1e-4
_MEL_BANDS = 80
_MEL_LOG_FLOOR = 1e-3
_CONVERGENCE_WEIGHT = 0.2
_FULL_WEIGHT_HERTZ = 8000.0
_REFERENCE_RATE_HERTZ = 16000
_REFERENCE_WINDOW = 1024


class SpectralLoss(nn.Module):
    """L1 of log magnitudes, spectral convergence, and L1 of a log-mel spectrogram.

    Bins above 8 kHz count less the higher they are: there are many, and the ear tells few of them apart. The
    floors inside the logarithms make spectra that are empty there (recordings brought up from 16 kHz) cost
    nothing once the network is silent there, too.
    """

    mel_filters: torch.Tensor

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        self.geometry = geometry
        rate = geometry.sample_rate_hertz
        for window, _ in geometry.loss_windows:
            hertz = torch.linspace(0, rate / 2, window // 2 + 1)
            weight = (_FULL_WEIGHT_HERTZ / hertz).clamp_max(1)
            self.register_buffer(f"weight_{window}", weight[:, None] / weight.sum(), persistent=False)
            self.register_buffer(f"window_{window}", torch.hann_window(window), persistent=False)
        filters = slaney_mel_filters(rate, geometry.loss_windows[0][0], _MEL_BANDS, 0.0, rate / 2)
        self.register_buffer("mel_filters", filters * _REFERENCE_WINDOW**0.5, persistent=False)

    def magnitudes(self, audio: torch.Tensor) -> list[torch.Tensor]:
        """[batch, samples] to one [batch, bins, frames] per resolution.

        Scaled to power density, so that levels (and the floors) mean the same in each, and at every sample
        rate.
        """
        return [self._magnitude(audio, window, hop) for window, hop in self.geometry.loss_windows]

    def forward(
        self, synthesized: list[torch.Tensor], recorded: list[torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(spectral, mel) distance of two results of `magnitudes`."""
        spectral = torch.zeros((), device=synthesized[0].device)
        for (window, _), ours, theirs in zip(self.geometry.loss_windows, synthesized, recorded, strict=True):
            log_distance = ((ours + _LOG_FLOOR).log() - (theirs + _LOG_FLOOR).log()).abs().mean((0, 2))
            spectral = spectral + (log_distance * self.get_buffer(f"weight_{window}")[:, 0]).sum()
            convergence = ((ours - theirs).square().sum() / theirs.square().sum()).sqrt()
            spectral = spectral + _CONVERGENCE_WEIGHT * convergence
        mel = (self._log_mel(synthesized[0]) - self._log_mel(recorded[0])).abs().mean()
        return spectral / len(recorded), mel

    def _magnitude(self, audio: torch.Tensor, window: int, hop: int) -> torch.Tensor:
        taper = self.get_buffer(f"window_{window}")
        spectrum = torch.stft(audio, window, hop, window=taper, return_complex=True)
        power = torch.view_as_real(spectrum).square().sum(-1)
        density = window * self.geometry.sample_rate_hertz / _REFERENCE_RATE_HERTZ
        return ((power + _POWER_FLOOR) / density).sqrt()

    def _log_mel(self, magnitude: torch.Tensor) -> torch.Tensor:
        return (self.mel_filters @ magnitude + _MEL_LOG_FLOOR).log()
