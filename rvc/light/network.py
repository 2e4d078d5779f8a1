"""The part of `Light` that learns: features of a frame's neighbourhood in, log magnitudes of two filters out.

About 2.5 million parameters, residual dilated convolutions over time. Convolutions run as channels-last 2-D
ones of height 1: on CPUs these are the fast ones.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from rvc.light.geometry import Geometry

SIDE_FEATURES = 3
"""Beside content: ln F0, voicing, loudness."""
_WIDTH = 256
_KERNEL = 5
_DILATIONS = (1, 2, 4, 1, 2, 4)
CONTEXT_FRAMES = sum(_DILATIONS) * (_KERNEL // 2)
"""Frames on each side that one output frame depends on."""

_REFERENCE_F0_HERTZ = 200.0
_F0_SPREAD = 0.25
"""Pitch enters as (ln F0 - ln 200 Hz) / 0.25, roughly -4 to 4 over all voices."""


class _Block(nn.Module):
    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(_WIDTH)
        padding = (0, _KERNEL // 2 * dilation)
        self.over_time = nn.Conv2d(_WIDTH, _WIDTH, (1, _KERNEL), padding=padding, dilation=(1, dilation))
        self.over_channels = nn.Conv2d(_WIDTH, _WIDTH, 1)
        nn.init.zeros_(self.over_channels.bias)  # type: ignore[arg-type]
        with torch.no_grad():
            self.over_channels.weight.mul_(0.3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, channels, 1, frames] to the same shape."""
        normed = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return x + torch.as_tensor(self.over_channels(nn.functional.gelu(self.over_time(normed))))


class Network(nn.Module):
    """Content, pitch and loudness to the log magnitudes of the harmonic and the noise filter, at every
    band."""

    def __init__(self, content_dimension: int, geometry: Geometry) -> None:
        super().__init__()
        self.enter = nn.Conv2d(content_dimension + SIDE_FEATURES, _WIDTH, 1)
        self.blocks = nn.ModuleList([_Block(dilation) for dilation in _DILATIONS])
        self.norm = nn.LayerNorm(_WIDTH)
        self.leave = nn.Linear(_WIDTH, 2 * geometry.bands)
        with torch.no_grad():
            self.leave.weight.mul_(0.1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """[batch, frames, content + 3] to [batch, frames, 2 * bands]: harmonic bands, then noise bands."""
        x = features.transpose(1, 2).unsqueeze(2).contiguous(memory_format=torch.channels_last)
        x = self.enter(x)
        for block in self.blocks:
            x = block(x)
        x = nn.functional.gelu(self.norm(x.permute(0, 2, 3, 1)))
        return torch.as_tensor(self.leave(x).squeeze(1))


def side_features(f0_hertz: torch.Tensor, voiced: torch.Tensor, loudness: torch.Tensor) -> torch.Tensor:
    """[..., frames] of each (F0 never 0) to [..., frames, 3], as the network reads them."""
    pitch = (f0_hertz.log() - math.log(_REFERENCE_F0_HERTZ)) / _F0_SPREAD
    return torch.stack([pitch, voiced.to(pitch.dtype), loudness], -1)


def expand_rows(rows: torch.Tensor) -> torch.Tensor:
    """[..., rows, dimension] at 50 Hz to [..., 2 rows, dimension] at 100 Hz in straight lines; the last row
    holds."""
    following = torch.cat([rows[..., 1:, :], rows[..., -1:, :]], -2)
    return torch.stack([rows, (rows + following) / 2], -2).flatten(-3, -2)
