"""What tells recordings from synthesis in training: one discriminator of the waveform, several of it folded
at prime periods (HiFi-GAN, arXiv:2010.05646)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional as F

from rvc.rvc2.geometry import Version
from rvc.rvc2.layers import LEAK, NormedConv1d, NormedConv2d

_PERIODS: Mapping[Version, tuple[int, ...]] = {
    "v1": (2, 3, 5, 7, 11, 17),
    "v2": (2, 3, 5, 7, 11, 17, 23, 37),
}

OFFICIAL_WIDTH = 1024

Judgement = tuple[torch.Tensor, list[torch.Tensor]]
"""Scores [batch, n], 1 for a recording, and all feature maps."""


class _Discriminator(nn.Module):
    convs: nn.ModuleList
    conv_post: nn.Module

    def judge(self, x: torch.Tensor) -> Judgement:
        """Scores and feature maps: every activated layer, and the scores before they are flattened."""
        features = []
        for conv in self.convs:
            x = F.leaky_relu_(conv(x), LEAK)
            features.append(x)
        x = self.conv_post(x)
        return x.flatten(1), [*features, x]


class _OfScale(_Discriminator):
    def __init__(self, width: int) -> None:
        super().__init__()
        channels = (width // 64, width // 16, width // 4, width, width)
        strided = [
            # Four channels to a group.
            NormedConv1d(channels[i], channels[i + 1], 41, 4, 20, groups=max(1, channels[i] // 4))
            for i in range(4)
        ]
        first, last = NormedConv1d(1, channels[0], 15, 1, 7), NormedConv1d(width, width, 5, 1, 2)
        self.convs = nn.ModuleList([first, *strided, last])
        self.conv_post = NormedConv1d(width, 1, 3, 1, 1)

    def forward(self, sound: torch.Tensor) -> Judgement:
        return self.judge(sound)


class _OfPeriod(_Discriminator):
    def __init__(self, period: int, width: int) -> None:
        super().__init__()
        self.period = period
        channels = (1, width // 32, width // 8, width // 2, width, width)
        self.convs = nn.ModuleList(
            [NormedConv2d(channels[i], channels[i + 1], 5, 3 if i < 4 else 1, 2) for i in range(5)]
        )
        self.conv_post = NormedConv2d(width, 1, 3, 1, 1)

    def forward(self, sound: torch.Tensor) -> Judgement:
        short = -sound.shape[-1] % self.period
        if short:
            sound = F.pad(sound, (0, short), "reflect")
        return self.judge(sound.reshape(*sound.shape[:2], -1, self.period))


class Discriminators(nn.Module):
    """All of a version's discriminators: by scale first, then by period.

    `width`, a multiple of 64, is their largest number of channels.
    """

    def __init__(self, version: Version, width: int = OFFICIAL_WIDTH) -> None:
        super().__init__()
        by_period = [_OfPeriod(period, width) for period in _PERIODS[version]]
        self.discriminators = nn.ModuleList([_OfScale(width), *by_period])

    def forward(self, sound: torch.Tensor) -> list[Judgement]:
        """What each makes of [batch, 1, samples]."""
        return [discriminator(sound) for discriminator in self.discriminators]
