"""Harmonic plus noise synthesis: two excitations through two time-varying minimum-phase filters.

The strong model is why `Light` learns in minutes: pitch and periodicity are given, only spectral envelopes
are learnt. Nothing here is trained, and everything is differentiable.
"""

from __future__ import annotations

import torch
from torch import nn

from rvc.light.geometry import Geometry

_LOWEST_LOG_MAGNITUDE = -16.0
_HIGHEST_LOG_MAGNITUDE = 4.0


class Decoder(nn.Module):
    """Filters excitations frame by frame and adds the frames up."""

    interpolation: torch.Tensor
    phase: torch.Tensor
    window: torch.Tensor

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        self.geometry = geometry
        interpolation = geometry.band_interpolation()
        self.register_buffer("interpolation", interpolation, persistent=False)
        self.register_buffer("phase", interpolation @ _minimum_phase(geometry.fft_size), persistent=False)
        self.register_buffer("window", torch.hann_window(2 * geometry.hop), persistent=False)

    def forward(
        self, log_magnitudes: torch.Tensor, pulses: torch.Tensor, noise: torch.Tensor
    ) -> torch.Tensor:
        """Sound of filters [batch, frames, 2 * bands] driven by excitations [batch, frames * hop]."""
        geometry, samples = self.geometry, pulses.shape[-1]
        # One more frame closes the overlap-add at the end.
        bands = torch.cat([log_magnitudes, log_magnitudes[:, -1:]], 1).float()
        bands = bands.clamp(_LOWEST_LOG_MAGNITUDE, _HIGHEST_LOG_MAGNITUDE)
        harmonic, noisy = bands[..., : geometry.bands], bands[..., geometry.bands :]
        spectra = self._spectra(pulses) * self._filter(harmonic) + self._spectra(noise) * self._filter(noisy)
        frames = torch.fft.irfft(spectra, n=geometry.fft_size)
        hops = frames.unflatten(-1, (4, geometry.hop))
        added = torch.stack([nn.functional.pad(hops[:, :, k], (0, 0, k, 3 - k)) for k in range(4)]).sum(0)
        return added.flatten(1)[:, geometry.hop : geometry.hop + samples]

    def _spectra(self, excitation: torch.Tensor) -> torch.Tensor:
        """[batch, samples] to [batch, frames + 1, bins]: windows of two frames, centred on the frames'
        beginnings."""
        hop = self.geometry.hop
        framed = nn.functional.pad(excitation, (hop, hop)).unfold(-1, 2 * hop, hop)
        return torch.as_tensor(torch.fft.rfft(framed * self.window, n=self.geometry.fft_size))

    def _filter(self, bands: torch.Tensor) -> torch.Tensor:
        return torch.polar((bands @ self.interpolation).exp(), bands @ self.phase)


def _minimum_phase(fft_size: int) -> torch.Tensor:
    """Matrix [bins, bins] from log magnitudes to the phase of the minimum-phase filter (Hilbert, by the
    cepstrum)."""
    bins = fft_size // 2 + 1
    cepstra = torch.fft.irfft(torch.eye(bins, dtype=torch.float64).to(torch.complex128), n=fft_size)
    causal = torch.zeros(fft_size, dtype=torch.float64)
    causal[0] = causal[fft_size // 2] = 1
    causal[1 : fft_size // 2] = 2
    return torch.as_tensor(torch.fft.rfft(cepstra * causal).imag.float())
