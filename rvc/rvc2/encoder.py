"""The prior encoder: content and pitch to the distribution of the latents (the text encoder of VITS,
arXiv:2106.06103)."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from rvc.rvc2.attention import RelativeAttention
from rvc.rvc2.geometry import Geometry
from rvc.rvc2.layers import LEAK, ChannelNorm

PITCH_BINS = 256


class _FeedForward(nn.Module):
    """Two convolutions over time; the sequence is masked before each and after both."""

    def __init__(self, channels: int, inner_channels: int, kernel: int) -> None:
        super().__init__()
        self.padding = ((kernel - 1) // 2, kernel // 2)
        self.conv_1 = nn.Conv1d(channels, inner_channels, kernel)
        self.conv_2 = nn.Conv1d(inner_channels, channels, kernel)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        x = self.conv_1(F.pad(x.transpose(1, 2) * mask, self.padding)).relu_()
        x = self.conv_2(F.pad(x * mask, self.padding))
        return (x * mask).transpose(1, 2)


class _Transformer(nn.Module):
    """Post-norm blocks of attention and feed-forward layers over [batch, frames, channels]."""

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        channels, layers = geometry.hidden_channels, range(geometry.layers)
        self.attn_layers = nn.ModuleList([RelativeAttention(channels, geometry.heads) for _ in layers])
        self.norm_layers_1 = nn.ModuleList([ChannelNorm(channels) for _ in layers])
        self.ffn_layers = nn.ModuleList(
            [_FeedForward(channels, geometry.filter_channels, geometry.kernel_size) for _ in layers]
        )
        self.norm_layers_2 = nn.ModuleList([ChannelNorm(channels) for _ in layers])

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        padded = mask[:, 0] == 0
        blocks = zip(self.attn_layers, self.norm_layers_1, self.ffn_layers, self.norm_layers_2, strict=True)
        for attention, norm_1, feed_forward, norm_2 in blocks:
            x = norm_1(x + attention(x, padded))
            x = norm_2(x + feed_forward(x, mask))
        return x


class PriorEncoder(nn.Module):
    """Content (and F0 bins) to mean and log deviation of the latents."""

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        hidden = geometry.hidden_channels
        self.emb_phone = nn.Linear(geometry.content_dimension, hidden)
        if geometry.f0:
            self.emb_pitch = nn.Embedding(PITCH_BINS, hidden)
        self.pitch_guided = geometry.f0
        self.encoder = _Transformer(geometry)
        self.proj = nn.Conv1d(hidden, 2 * geometry.inter_channels, 1)

    def forward(
        self, content: torch.Tensor, pitch: torch.Tensor | None, mask: torch.Tensor, first_frame: int = 0
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(mean, log deviation), each [batch, inter channels, frames - first_frame], masked.

        Args:
            content: [batch, frames, dimension].
            pitch: [batch, frames] F0 bins 1 to 255; None for a voice without pitch.
            mask: [batch, 1, frames], 1 inside the sequence.
            first_frame: frames before it are heard, but their latents are not wanted.
        """
        x = self.emb_phone(content)
        if self.pitch_guided:
            if pitch is None:
                raise ValueError("a pitch-guided voice needs F0 bins")
            x = x + self.emb_pitch(pitch)
        x = F.leaky_relu(x * math.sqrt(x.shape[-1]), LEAK) * mask.transpose(1, 2)
        x = self.encoder(x, mask)[:, first_frame:].transpose(1, 2)
        mask = mask[:, :, first_frame:]
        mean, log_deviation = (self.proj(x * mask) * mask).chunk(2, 1)
        return mean, log_deviation
