"""The decoder: latents to sound by upsampling convolutions (HiFi-GAN, arXiv:2010.05646), with the sine added
at every scale (neural source-filter) where the voice is pitch-guided."""

from __future__ import annotations

from math import ceil, prod

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from rvc.rvc2.geometry import Geometry
from rvc.rvc2.layers import LEAK, NormedConv1d, NormedConvTranspose1d
from rvc.rvc2.source import Source, driving

LAST_LEAK = 0.01
"""Slope before the last convolution: PyTorch's default, as in the original."""


class _ResidualBlock(nn.Module):
    """Pairs of convolutions, the first of each dilated."""

    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(
            [
                NormedConv1d(channels, channels, kernel, padding=dilation * (kernel // 2), dilation=dilation)
                for dilation in dilations
            ]
        )
        self.convs2 = nn.ModuleList(
            [NormedConv1d(channels, channels, kernel, padding=kernel // 2) for _ in dilations]
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for dilated, plain in zip(self.convs1, self.convs2, strict=True):
            # In place, as convolutions do not need what came out of them to find their gradients.
            x = x + plain(F.leaky_relu_(dilated(F.leaky_relu(x, LEAK)), LEAK))
        return x


class Decoder(nn.Module):
    """Latents (and F0) to sound."""

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        self.geometry = geometry
        self.checkpointing = False
        """Whether training computes activations twice instead of keeping them."""
        stages = range(len(geometry.upsample_rates))
        channels = [geometry.upsample_initial_channel // 2**i for i in range(len(stages) + 1)]
        # The order of registration is that of the community's files.
        if geometry.f0:
            self.m_source = Source(geometry.sample_rate_hertz)
            self.noise_convs = nn.ModuleList([_noise_conv(geometry, i, channels[i + 1]) for i in stages])
        self.conv_pre = nn.Conv1d(geometry.inter_channels, channels[0], 7, padding=3)
        self.ups = nn.ModuleList(
            [
                NormedConvTranspose1d(
                    channels[i], channels[i + 1], geometry.upsample_kernels[i], geometry.upsample_rates[i]
                )
                for i in stages
            ]
        )
        self.resblocks = nn.ModuleList(
            [
                _ResidualBlock(channels[i + 1], kernel, dilations)
                for i in stages
                for kernel, dilations in zip(
                    geometry.resblock_kernels, geometry.resblock_dilations, strict=True
                )
            ]
        )
        self.conv_post = nn.Conv1d(channels[-1], 1, 7, padding=3, bias=False)
        self.cond = nn.Conv1d(geometry.speaker_channels, channels[0], 1)

    def source(
        self,
        f0_hertz: torch.Tensor | None,
        noise: torch.Tensor | None = None,
        start_cycles: torch.Tensor | None = None,
    ) -> torch.Tensor | None:
        """What drives the decoder, [batch, 1, samples]; None for a voice without pitch. See `Source`."""
        return driving(self.m_source if self.geometry.f0 else None, f0_hertz, noise, start_cycles)

    def forward(self, z: torch.Tensor, source: torch.Tensor | None, speaker: torch.Tensor) -> torch.Tensor:
        """[batch, 1, frames * hop], -1 to 1.

        Args:
            z: latents, [batch, inter channels, frames].
            source: what `source` says, for as many frames.
            speaker: [batch, speaker channels, 1].
        """
        x = self.conv_pre(z) + self.cond(speaker)
        for i in range(len(self.ups)):
            if self.checkpointing and torch.is_grad_enabled():
                x = checkpoint(self._stage, i, x, source, use_reentrant=False)
            else:
                x = self._stage(i, x, source)
        # Autocast's precision would be heard as noise.
        with torch.autocast(x.device.type, enabled=False):
            return torch.tanh(self.conv_post(F.leaky_relu(x.float(), LAST_LEAK)))

    @property
    def reach_frames(self) -> int:
        """Frames on either side that a frame's sound depends on; beyond them nothing is heard."""
        geometry = self.geometry
        reach, samples_per_frame = 3.0, 1
        for rate, kernel in zip(geometry.upsample_rates, geometry.upsample_kernels, strict=True):
            reach += ceil(kernel / rate) / samples_per_frame
            samples_per_frame *= rate
            blocks = zip(geometry.resblock_kernels, geometry.resblock_dilations, strict=True)
            widest = max(size // 2 * (sum(dilations) + len(dilations)) for size, dilations in blocks)
            # One more for the source, which comes down from the rate of samples.
            reach += (widest + 1) / samples_per_frame
        return ceil(reach + 3 / samples_per_frame)

    def in_blocks(
        self, z: torch.Tensor, source: torch.Tensor | None, speaker: torch.Tensor, block_frames: int
    ) -> torch.Tensor:
        """What `forward` says, computed in blocks of frames: memory stays bounded, and small blocks stay in a
        processor's cache."""
        hop, reach, frames = self.geometry.hop, self.reach_frames, z.shape[-1]
        sounds = []
        for start in range(0, frames, block_frames):
            stop = min(start + block_frames, frames)
            first, last = max(0, start - reach), min(frames, stop + reach)
            drive = None if source is None else source[..., first * hop : last * hop]
            sound = self(z[..., first:last], drive, speaker)
            sounds.append(sound[..., (start - first) * hop : (stop - first) * hop])
        return torch.cat(sounds, -1)

    def _stage(self, i: int, x: torch.Tensor, source: torch.Tensor | None) -> torch.Tensor:
        x = self.ups[i](F.leaky_relu(x, LEAK))
        if source is not None:
            x = x + self.noise_convs[i](source)
        blocks = len(self.geometry.resblock_kernels)
        heard = [block(x) for block in self.resblocks[blocks * i : blocks * (i + 1)]]
        total = torch.as_tensor(heard[0])
        for other in heard[1:]:
            total += other
        return total.div_(blocks)


def _noise_conv(geometry: Geometry, stage: int, channels: int) -> nn.Conv1d:
    """Brings the source from the rate of samples down to that of a stage."""
    stride = prod(geometry.upsample_rates[stage + 1 :])
    if stride == 1:
        return nn.Conv1d(1, channels, 1)
    return nn.Conv1d(1, channels, 2 * stride, stride, stride // 2)
