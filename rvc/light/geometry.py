"""Sizes of everything in `Light`, all from the sample rate.

One frame is a hundredth of a second. Spectra of the decoder span four frames, so that a filter's impulse
response has two frames of room behind a windowed excitation of two. Every size has only the factors 2, 3 and
5.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

SAMPLE_RATES_HERTZ = (16000, 32000, 40000, 48000)
_BANDS_TO_8_KILOHERTZ = 80
_LOSS_WINDOWS_SECONDS = (0.064, 0.032, 0.016)
_LOSS_OVERLAP = 4


def _mel(hertz: float) -> float:
    return 1127.0 * float(np.log1p(hertz / 700.0))


@dataclass(frozen=True)
class Geometry:
    """Sizes in samples, bins and bands for one output rate."""

    sample_rate_hertz: int

    @property
    def hop(self) -> int:
        """Samples in a frame."""
        return self.sample_rate_hertz // 100

    @property
    def fft_size(self) -> int:
        """Points of the decoder's spectra."""
        return 4 * self.hop

    @property
    def bins(self) -> int:
        """Frequencies of the decoder's spectra, 0 Hz to Nyquist."""
        return self.fft_size // 2 + 1

    @property
    def bands(self) -> int:
        """Mel-spaced points at which the network says a magnitude; as dense at every rate as 80 up to 8
        kHz."""
        return round(_BANDS_TO_8_KILOHERTZ * _mel(self.sample_rate_hertz / 2) / _mel(8000))

    @property
    def loss_windows(self) -> tuple[tuple[int, int], ...]:
        """(window, hop) of the spectra that the loss compares."""
        windows = [round(seconds * self.sample_rate_hertz) for seconds in _LOSS_WINDOWS_SECONDS]
        return tuple((window, window // _LOSS_OVERLAP) for window in windows)

    def band_hertz(self) -> torch.Tensor:
        """Frequencies of the bands, 0 Hz to Nyquist, [bands]."""
        mels = np.linspace(0.0, _mel(self.sample_rate_hertz / 2), self.bands)
        return torch.from_numpy(700.0 * np.expm1(mels / 1127.0))

    def band_interpolation(self) -> torch.Tensor:
        """Matrix [bands, bins] that draws straight lines (over mel) between the bands' values."""
        position = torch.tensor([_mel(hertz) for hertz in self.bin_hertz().tolist()], dtype=torch.float64)
        position *= (self.bands - 1) / _mel(self.sample_rate_hertz / 2)
        distance = position[None, :] - torch.arange(self.bands, dtype=torch.float64)[:, None]
        return (1 - distance.abs()).clamp_min(0).float()

    def moved_bands(self, ratio: float) -> torch.Tensor:
        """Matrix [bands, bands] that moves what the bands say to `ratio` times its frequency; beyond the
        highest band its value holds."""
        highest = _mel(self.sample_rate_hertz / 2)
        mels = [min(_mel(hertz / ratio), highest) for hertz in self.band_hertz().tolist()]
        position = torch.tensor(mels, dtype=torch.float64) * (self.bands - 1) / highest
        distance = position[None, :] - torch.arange(self.bands, dtype=torch.float64)[:, None]
        return (1 - distance.abs()).clamp_min(0).float()

    def bin_hertz(self) -> torch.Tensor:
        """Frequencies of the bins, [bins]."""
        return torch.linspace(0, self.sample_rate_hertz / 2, self.bins, dtype=torch.float64)
