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
    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            [
                NormedConv1d(1, 16, 15, 1, 7),
                NormedConv1d(16, 64, 41, 4, 20, groups=4),
                NormedConv1d(64, 256, 41, 4, 20, groups=16),
                NormedConv1d(256, 1024, 41, 4, 20, groups=64),
                NormedConv1d(1024, 1024, 41, 4, 20, groups=256),
                NormedConv1d(1024, 1024, 5, 1, 2),
            ]
        )
        self.conv_post = NormedConv1d(1024, 1, 3, 1, 1)

    def forward(self, sound: torch.Tensor) -> Judgement:
        return self.judge(sound)


class _OfPeriod(_Discriminator):
    def __init__(self, period: int) -> None:
        super().__init__()
        self.period = period
        channels = (1, 32, 128, 512, 1024, 1024)
        self.convs = nn.ModuleList(
            [NormedConv2d(channels[i], channels[i + 1], 5, 3 if i < 4 else 1, 2) for i in range(5)]
        )
        self.conv_post = NormedConv2d(1024, 1, 3, 1, 1)

    def forward(self, sound: torch.Tensor) -> Judgement:
        short = -sound.shape[-1] % self.period
        if short:
            sound = F.pad(sound, (0, short), "reflect")
        return self.judge(sound.reshape(*sound.shape[:2], -1, self.period))


class Discriminators(nn.Module):
    """All of a version's discriminators: by scale first, then by period."""

    def __init__(self, version: Version) -> None:
        super().__init__()
        self.discriminators = nn.ModuleList([_OfScale(), *map(_OfPeriod, _PERIODS[version])])

    def forward(self, sound: torch.Tensor) -> list[Judgement]:
        """What each makes of [batch, 1, samples]."""
        return [discriminator(sound) for discriminator in self.discriminators]
