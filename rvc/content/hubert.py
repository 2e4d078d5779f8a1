"""The HuBERT network (Hsu et al. 2021) as RVC uses it: the base layout, whatever its sizes.

Seven convolutions bring 16 kHz to 50 Hz, of which only the first is normalised, each channel over the whole
time that the network sees. A wide convolution tells the positions, then come post-norm transformer layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from rvc.errors import ArtifactCorrupt

SAMPLES_PER_ROW = 320
"""Product of the strides."""
RECEPTIVE_FIELD_SAMPLES = 400
"""Row j of the convolutions hears the samples from 320 j to 320 j + 400."""
STRIDES = (5, 2, 2, 2, 2, 2, 2)
HEAD_WIDTH = 64
"""Channels of an attention head in all published models of this layout."""


@dataclass(frozen=True)
class HubertSizes:
    """Everything that the shapes of the weights do not say by themselves, and what they do."""

    channels: int
    kernels: tuple[int, ...]
    width: int
    position_kernel: int
    position_groups: int
    feed_forward_width: int
    layers: int
    heads: int
    projection: int
    """Width of the final projection, 0 without one."""

    @classmethod
    def of(cls, tensors: Mapping[str, torch.Tensor], heads: int | None = None) -> HubertSizes:
        """The sizes of weights with our names; `heads` where a head is not 64 wide.

        Raises `ArtifactCorrupt` for weights of another network.
        """
        try:
            convolutions = [tensors[f"convolutions.{index}.weight"] for index in range(len(STRIDES))]
            width, grouped_width, position_kernel = tensors["positions.direction"].shape
            projection = tensors.get("final_projection.weight")
            layers = sum(name.endswith(".query.weight") for name in tensors)
            feed_forward_width = len(tensors["layers.0.feed_forward_in.weight"])
            channels, kernels = len(convolutions[0]), tuple(weight.shape[-1] for weight in convolutions)
            position_groups = width // grouped_width
        # What shapes raise that are not those of matrices and convolutions.
        except (KeyError, ValueError, TypeError, IndexError, ZeroDivisionError) as error:
            raise ArtifactCorrupt(f"these are no weights of a HuBERT network: {error}") from error
        return cls(
            channels=channels,
            kernels=kernels,
            width=width,
            position_kernel=position_kernel,
            position_groups=position_groups,
            feed_forward_width=feed_forward_width,
            layers=layers,
            heads=heads or width // HEAD_WIDTH,
            projection=0 if projection is None else len(projection),
        )


class _Positions(nn.Module):
    """Weight-normed convolution, one length for each tap of the kernel, on [batch, width, rows]."""

    def __init__(self, sizes: HubertSizes) -> None:
        super().__init__()
        self.groups = sizes.position_groups
        grouped = sizes.width // sizes.position_groups
        self.gain = nn.Parameter(torch.empty(1, 1, sizes.position_kernel))
        self.direction = nn.Parameter(torch.empty(sizes.width, grouped, sizes.position_kernel))
        self.bias = nn.Parameter(torch.empty(sizes.width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = self.direction * (self.gain / self.direction.norm(dim=(0, 1), keepdim=True))
        kernel = weight.shape[-1]
        return F.gelu(
            F.conv1d(x, weight, self.bias, padding=kernel // 2, groups=self.groups)[..., : x.shape[-1]]
        )


class _Layer(nn.Module):
    """Post-norm transformer layer on [batch, rows, width]."""

    def __init__(self, width: int, feed_forward_width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.attention_out = nn.Linear(width, width)
        self.attention_norm = nn.LayerNorm(width)
        self.feed_forward_in = nn.Linear(width, feed_forward_width)
        self.feed_forward_out = nn.Linear(feed_forward_width, width)
        self.feed_forward_norm = nn.LayerNorm(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = (
            part(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        attended = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        x = self.attention_norm(x + self.attention_out(attended))
        hidden = self.feed_forward_out(F.gelu(self.feed_forward_in(x)))
        return torch.as_tensor(self.feed_forward_norm(x + hidden))


class HubertNetwork(nn.Module):
    """Audio [batch, samples] at 16 kHz to rows [batch, (samples - 400) // 320 + 1, width] at 50 Hz."""

    def __init__(self, sizes: HubertSizes) -> None:
        super().__init__()
        inputs = (1, *[sizes.channels] * (len(STRIDES) - 1))
        self.convolutions = nn.ModuleList(
            nn.Conv1d(channels, sizes.channels, kernel, stride, bias=False)
            for channels, kernel, stride in zip(inputs, sizes.kernels, STRIDES, strict=True)
        )
        self.group_norm = nn.GroupNorm(sizes.channels, sizes.channels)
        self.projection_norm = nn.LayerNorm(sizes.channels)
        self.projection = nn.Linear(sizes.channels, sizes.width)
        self.positions = _Positions(sizes)
        self.norm = nn.LayerNorm(sizes.width)
        self.layers = nn.ModuleList(
            _Layer(sizes.width, sizes.feed_forward_width, sizes.heads) for _ in range(sizes.layers)
        )
        if sizes.projection:
            self.final_projection = nn.Linear(sizes.width, sizes.projection)

    @classmethod
    def of(cls, tensors: Mapping[str, torch.Tensor], heads: int | None = None) -> HubertNetwork:
        """The network with these weights, in fp32, for inference; all weights and no others.

        Raises `ArtifactCorrupt` for weights that are missing, unknown or of another shape.
        """
        with torch.device("meta"):
            network = cls(HubertSizes.of(tensors, heads))
        try:
            network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, assign=True)
        except RuntimeError as error:
            raise ArtifactCorrupt(f"these weights do not fit a HuBERT network: {error}") from error
        return network.eval().requires_grad_(False)

    def convolve(self, audio: torch.Tensor) -> torch.Tensor:
        """The convolutions alone: [batch, channels, rows]."""
        x = F.gelu(self.group_norm(self.convolutions[0](audio[:, None])))
        for convolution in self.convolutions[1:]:
            x = F.gelu(convolution(x))
        return x

    def embed(self, convolved: torch.Tensor) -> torch.Tensor:
        """What the first transformer layer gets: [batch, rows, width]."""
        x = self.projection(self.projection_norm(convolved.transpose(1, 2)))
        return torch.as_tensor(self.norm(x + self.positions(x.transpose(1, 2)).transpose(1, 2)))

    def forward(self, audio: torch.Tensor, layers: int | None = None) -> torch.Tensor:
        """The output of that many transformer layers (None: all)."""
        x = self.embed(self.convolve(audio))
        for layer in self.layers[:layers]:
            x = layer(x)
        return x
