"""Magnitude and log-mel spectrograms as the posterior encoder and the mel loss know them.

Frames are not centred: frame `t` begins (filter length - hop) / 2 samples before sample `t * hop`, with the
sound reflected at both ends, so that there are as many frames as hops.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from rvc.audio.mel import slaney_mel_filters
from rvc.rvc2.geometry import Geometry


@dataclass(frozen=True)
class Floors:
    """What keeps roots and logarithms of silence finite."""

    power: float
    """Added to the squared magnitude."""
    mel: float
    """Smallest mel magnitude."""


CLASSIC = Floors(1e-6, 1e-5)
"""Of the base models and most voices."""
RECENT = Floors(2e-7, 2e-6)
"""Of the original since 2026."""


class Spectrograms(nn.Module):
    """Spectrograms of sound at a voice's rate."""

    window: torch.Tensor
    filters: torch.Tensor

    def __init__(self, geometry: Geometry, floors: Floors = CLASSIC) -> None:
        super().__init__()
        self.sizes, self.floors = geometry.training, floors
        length, rate = self.sizes.filter_length, geometry.sample_rate_hertz
        filters = slaney_mel_filters(rate, length, self.sizes.mel_bands, 0.0, rate / 2)
        self.register_buffer("window", torch.hann_window(length), persistent=False)
        self.register_buffer("filters", filters, persistent=False)

    def magnitudes(self, sound: torch.Tensor) -> torch.Tensor:
        """[batch, samples] to float32 [batch, bins, samples / hop]."""
        length, hop = self.sizes.filter_length, self.sizes.hop
        margin = (length - hop) // 2
        padded = F.pad(sound.float().unsqueeze(1), (margin, margin), "reflect").squeeze(1)
        spectrum = torch.stft(padded, length, hop, window=self.window, center=False, return_complex=True)
        return (torch.view_as_real(spectrum).square().sum(-1) + self.floors.power).sqrt()

    def log_mel(self, magnitudes: torch.Tensor) -> torch.Tensor:
        """[batch, bins, frames] to [batch, mel bands, frames]."""
        return (self.filters @ magnitudes).clamp_min(self.floors.mel).log()

    def forward(self, sound: torch.Tensor) -> torch.Tensor:
        """[batch, samples] to log mel magnitudes [batch, mel bands, samples / hop]."""
        return self.log_mel(self.magnitudes(sound))
