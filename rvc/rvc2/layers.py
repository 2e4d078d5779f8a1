"""Building blocks: weight-normed convolutions, layer norm over channels, the gated residual stack (WaveNet).

Weight norm keeps a direction `weight_v` and a length `weight_g` for each slice of the first axis, and those
names in its state dict, as the community's files have them (PyTorch's own parametrization would save others).
For conversion `fold_weight_norm` multiplies them out once.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

LEAK = 0.1
"""Slope of every leaky ReLU but the decoder's last."""


def _split_weight(conv: nn.Conv1d | nn.Conv2d | nn.ConvTranspose1d) -> None:
    weight = conv.weight.detach()
    del conv.weight
    lengths = weight.flatten(1).norm(dim=1).view(-1, *[1] * (weight.dim() - 1))
    conv.register_parameter("weight_g", nn.Parameter(lengths))
    conv.register_parameter("weight_v", nn.Parameter(weight))


def _weight(conv: nn.Module) -> torch.Tensor:
    if "weight_v" not in conv._parameters:
        return conv.get_parameter("weight")
    direction, length = conv.get_parameter("weight_v"), conv.get_parameter("weight_g")
    return torch.as_tensor(torch._weight_norm(direction, length, 0))


class NormedConv1d(nn.Conv1d):
    """Conv1d with weight norm."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
        groups: int = 1,
    ) -> None:
        super().__init__(channels_in, channels_out, kernel, stride, padding, dilation, groups)
        _split_weight(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, channels in, samples] to [batch, channels out, samples]."""
        return torch.as_tensor(self._conv_forward(x, _weight(self), self.bias))


class NormedConv2d(nn.Conv2d):
    """Conv2d with weight norm, over the first of the two axes only."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int, padding: int) -> None:
        super().__init__(channels_in, channels_out, (kernel, 1), (stride, 1), (padding, 0))
        _split_weight(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, channels in, rows, columns] to [batch, channels out, rows, columns]."""
        return torch.as_tensor(self._conv_forward(x, _weight(self), self.bias))


class NormedConvTranspose1d(nn.ConvTranspose1d):
    """ConvTranspose1d with weight norm; the first axis of its weight is that of the channels that come in."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int) -> None:
        self.margin = (kernel - stride) // 2
        super().__init__(channels_in, channels_out, kernel, stride, self.margin)
        _split_weight(self)

    def forward(self, x: torch.Tensor, output_size: list[int] | None = None) -> torch.Tensor:
        """[batch, channels in, samples] to [batch, channels out, samples * stride]."""
        return F.conv_transpose1d(x, _weight(self), self.bias, self.stride, self.margin)


@torch.no_grad()
def fold_weight_norm(network: nn.Module) -> None:
    """Turn `weight_g` and `weight_v` of all layers below into the one `weight` that they stand for."""
    for module in network.modules():
        if "weight_v" in module._parameters:
            weight = _weight(module)
            del module.weight_g, module.weight_v
            module.register_parameter("weight", nn.Parameter(weight, requires_grad=False))


class ChannelNorm(nn.Module):
    """Layer norm over the last axis, with the names `gamma` and `beta`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., channels] to the same shape."""
        return F.layer_norm(x, self.gamma.shape, self.gamma, self.beta, 1e-5)


class WaveNet(nn.Module):
    """Gated convolutions with skip connections, conditioned on the speaker."""

    def __init__(self, channels: int, layers: int, speaker_channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.in_layers = nn.ModuleList(
            [NormedConv1d(channels, 2 * channels, 5, padding=2) for _ in range(layers)]
        )
        # The last layer only adds to the sum that leaves.
        self.res_skip_layers = nn.ModuleList(
            [NormedConv1d(channels, channels * (1 if i == layers - 1 else 2), 1) for i in range(layers)]
        )
        self.cond_layer = NormedConv1d(speaker_channels, 2 * channels * layers, 1)

    def forward(self, x: torch.Tensor, mask: torch.Tensor, speaker: torch.Tensor) -> torch.Tensor:
        """[batch, channels, frames] to the same shape.

        Args:
            x: already masked.
            mask: [batch, 1, frames], 1 inside the sequence.
            speaker: [batch, speaker channels, 1].
        """
        conditions = self.cond_layer(speaker).split(2 * self.channels, 1)
        last = len(self.in_layers) - 1
        skipped: torch.Tensor | None = None
        layers = zip(self.in_layers, self.res_skip_layers, conditions, strict=True)
        for i, (enter, leave, condition) in enumerate(layers):
            drive, gate = (enter(x) + condition).split(self.channels, 1)
            out = leave(drive.tanh() * gate.sigmoid())
            if i < last:
                residual, out = out.split(self.channels, 1)
                x = (x + residual) * mask
            skipped = out if skipped is None else skipped + out
        if skipped is None:
            raise ValueError("a WaveNet needs a layer")
        return skipped * mask
