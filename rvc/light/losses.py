"""How far a synthesized second is from the recorded one: spectra at three resolutions, phases ignored."""

from __future__ import annotations

from typing import Any

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
        padded = nn.functional.pad(audio[:, None], (window // 2, window // 2), mode="reflect")[:, 0]
        density = window * self.geometry.sample_rate_hertz / _REFERENCE_RATE_HERTZ
        taper = self.get_buffer(f"window_{window}")
        magnitude = _Magnitude.apply(padded, taper, hop, density)  # type: ignore[no-untyped-call]
        return torch.as_tensor(magnitude).transpose(1, 2)

    def _log_mel(self, magnitude: torch.Tensor) -> torch.Tensor:
        return (self.mel_filters @ magnitude + _MEL_LOG_FLOOR).log()


class _Magnitude(torch.autograd.Function):
    """Magnitudes [batch, frames, bins] of audio [batch, samples], with a gradient by the inverse real
    transform; that of `torch.stft` goes through a complex one of full length, and a step at 32 kHz takes a
    fifth longer."""

    @staticmethod
    def forward(ctx: Any, audio: torch.Tensor, taper: torch.Tensor, hop: int, density: float) -> torch.Tensor:
        spectrum = torch.fft.rfft(audio.unfold(-1, len(taper), hop) * taper)
        real, imaginary = torch.view_as_real(spectrum).unbind(-1)
        power = torch.addcmul(real.square().add_(_POWER_FLOOR), imaginary, imaginary)
        magnitude = power.div_(density).sqrt_()
        ctx.save_for_backward(spectrum, magnitude, taper)
        ctx.sizes = audio.shape[-1], hop, density
        return magnitude

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        spectrum, magnitude, taper = ctx.saved_tensors
        samples, hop, density = ctx.sizes
        slope = gradient / (magnitude * density)
        # The inverse transform counts all bins twice, as those of negative frequencies, but for the two ends.
        slope[..., 1:-1] *= 0.5
        frames = torch.fft.irfft(spectrum * slope, len(taper), norm="forward") * taper
        return _overlapped(frames, hop, samples), None, None, None


def _overlapped(frames: torch.Tensor, hop: int, samples: int) -> torch.Tensor:
    """Sum of frames [batch, frames, window] that follow each other at `hop`, [batch, samples]."""
    batch, count = frames.shape[:2]
    added = frames.new_zeros(batch, -(-samples // hop), hop)
    for part, hops in enumerate(frames.reshape(batch, count, -1, hop).unbind(2)):
        added[:, part : part + count] += hops
    return added.flatten(1)[:, :samples]
