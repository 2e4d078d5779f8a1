"""The network of RMVPE (Wei et al. 2023), its parts under the names of the official weights.

A U-Net of residual blocks over the spectrogram as an image, then a bidirectional GRU along time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from rvc.errors import ArtifactCorrupt

MEL_BANDS = 128
PITCHES = 360

_GRU_WIDTH = 256


class _Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut, on [batch, channels, frames, bands]."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(),
            nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(),
        )
        if channels_in != channels_out:
            self.shortcut = nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        beside = self.shortcut(x) if hasattr(self, "shortcut") else x
        return torch.as_tensor(self.conv(x) + beside)


def _residuals(channels_in: int, channels_out: int, blocks: int) -> nn.ModuleList:
    return nn.ModuleList(
        _Residual(channels_out if block else channels_in, channels_out) for block in range(blocks)
    )


class _Level(nn.Module):
    """Residual blocks in a row."""

    def __init__(self, channels_in: int, channels_out: int, blocks: int) -> None:
        super().__init__()
        self.conv = _residuals(channels_in, channels_out, blocks)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.conv:
            x = block(x)
        return x


class _Encoder(nn.Module):
    def __init__(self, channels: int, levels: int, blocks: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(1)
        widths = [1, *(channels << level for level in range(levels))]
        self.layers = nn.ModuleList(_Level(narrow, wide, blocks) for narrow, wide in pairwise(widths))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        x = self.bn(x)
        skips = []
        for level in self.layers:
            x = level(x)
            skips.append(x)
            x = F.avg_pool2d(x, 2)
        return x, skips


class _Intermediate(nn.Module):
    def __init__(self, channels_in: int, levels: int, blocks: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            _Level(channels_in * (2 if level else 1), 2 * channels_in, blocks) for level in range(levels)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for level in self.layers:
            x = level(x)
        return x


class _Up(nn.Module):
    """Twice as fine with half the channels, joined with the encoder's image of that size."""

    def __init__(self, channels_in: int, blocks: int) -> None:
        super().__init__()
        channels = channels_in // 2
        self.conv1 = nn.Sequential(
            nn.ConvTranspose2d(channels_in, channels, 3, stride=2, padding=1, output_padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        )
        self.conv2 = _residuals(channels_in, channels, blocks)

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        x = torch.cat([self.conv1(x), skip], dim=1)
        for block in self.conv2:
            x = block(x)
        return x


class _Decoder(nn.Module):
    def __init__(self, channels: int, levels: int, blocks: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_Up(channels << level, blocks) for level in range(levels, 0, -1))

    def forward(self, x: torch.Tensor, skips: list[torch.Tensor]) -> torch.Tensor:
        for up, skip in zip(self.layers, reversed(skips), strict=True):
            x = up(x, skip)
        return x


@dataclass(frozen=True)
class Sizes:
    """What may differ between RMVPE networks; the defaults are the official one's."""

    channels: int = 16
    """Of the first level; every level has twice as many as the one above."""
    levels: int = 5
    intermediate_levels: int = 4
    blocks: int = 4
    """Residual blocks of a level."""

    @classmethod
    def of(cls, tensors: Mapping[str, torch.Tensor]) -> Sizes:
        """Read off a state dict; raises `ArtifactCorrupt` if that is not one of RMVPE."""
        first = tensors.get("unet.encoder.layers.0.conv.0.conv.0.weight")
        sizes = cls(
            channels=first.shape[0] if first is not None else 0,
            levels=_numbered(tensors, "unet.encoder.layers."),
            intermediate_levels=_numbered(tensors, "unet.intermediate.layers."),
            blocks=_numbered(tensors, "unet.encoder.layers.0.conv."),
        )
        if not all((sizes.channels, sizes.levels, sizes.intermediate_levels, sizes.blocks)):
            raise ArtifactCorrupt("these are not weights of RMVPE: names of its U-Net are missing")
        return sizes


def _numbered(tensors: Mapping[str, torch.Tensor], prefix: str) -> int:
    return len({name[len(prefix) :].split(".")[0] for name in tensors if name.startswith(prefix)})


class _UNet(nn.Module):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        bottom = sizes.channels << (sizes.levels - 1)
        self.encoder = _Encoder(sizes.channels, sizes.levels, sizes.blocks)
        self.intermediate = _Intermediate(bottom, sizes.intermediate_levels, sizes.blocks)
        self.decoder = _Decoder(sizes.channels, sizes.levels, sizes.blocks)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x, skips = self.encoder(x)
        return torch.as_tensor(self.decoder(self.intermediate(x), skips))


class _Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(3 * MEL_BANDS, _GRU_WIDTH, batch_first=True, bidirectional=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(self.gru(x)[0])


class RMVPENetwork(nn.Module):
    """Log mel [1, 128, frames] to salience [1, frames, 360] in 0..1."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self._multiple = 1 << sizes.levels
        self.unet = _UNet(sizes)
        self.cnn = nn.Conv2d(sizes.channels, 3, 3, padding=1)
        self.fc = nn.Sequential(_Recurrent(), nn.Linear(2 * _GRU_WIDTH, PITCHES), nn.Sigmoid())

    def forward(self, log_mel: torch.Tensor) -> torch.Tensor:
        """As the class says."""
        frames = log_mel.shape[-1]
        # With 0, which is not silence in a log mel, but is what the weights' users pad with.
        padded = F.pad(log_mel, (0, -frames % self._multiple))
        image = self.cnn(self.unet(padded.transpose(1, 2).unsqueeze(1)))
        rows = image.transpose(1, 2).flatten(2)
        return torch.as_tensor(self.fc(rows)[:, :frames])
