"""Discriminators that keep spectra from being averages.

A network that is trained on distances alone says the mean of all it could say, which sounds dull. Two small
networks look at magnitude spectrograms of recordings and of synthesized sound and learn to tell them apart;
the synthesizer learns to be mistaken for a recording (least squares, Mao et al. 2017) and to look alike
inside them (feature matching, Larsen et al. 2016).

Both sides learn from one pass: the opinions that the discriminators are corrected for are those that the
synthesizer is led by.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from rvc.light.geometry import Geometry

RESOLUTIONS = 2
"""The longest windows of the spectral loss are looked at."""
CROP_FRAMES = 60
CROP_HERTZ = 8000
"""Of each spectrogram, at a random place, to keep steps short."""
_WIDTHS = (1, 16, 32, 32, 32)
_SLOPE = 0.1
_FLOOR = 1e-5
_COMPRESSION = 0.3
_SMALLEST_SIZE = 1e-3


class Verdict(NamedTuple):
    """Losses of one batch."""

    discriminator: torch.Tensor
    """What the discriminators learn from; the two others are the synthesizer's."""
    adversarial: torch.Tensor
    feature_matching: torch.Tensor


class Discriminator(nn.Module):
    """A spectrogram to a map of opinions on its parts; near 1 means recorded."""

    def __init__(self) -> None:
        super().__init__()
        strides = ((2, 1), (2, 1), (2, 2))
        self.layers = nn.ModuleList(
            nn.Conv2d(before, after, (5, 3), stride, (2, 1))
            for before, after, stride in zip(_WIDTHS[:-2], _WIDTHS[1:-1], strides, strict=True)
        )
        self.layers.append(nn.Conv2d(_WIDTHS[-2], _WIDTHS[-1], 3, padding=1))
        self.opinion = nn.Conv2d(_WIDTHS[-1], 1, 3, padding=1)

    def forward(self, magnitudes: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """[batch, bins, frames] to (opinions, what each layer saw)."""
        compressed = (magnitudes + _FLOOR) ** _COMPRESSION
        x = compressed[:, None].contiguous(memory_format=torch.channels_last)
        seen = []
        for layer in self.layers:
            x = nn.functional.leaky_relu(layer(x), _SLOPE, inplace=True)
            seen.append(x)
        return self.opinion(x).float(), seen


class Adversary(nn.Module):
    """A discriminator for each resolution."""

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        windows = [window for window, _ in geometry.loss_windows[:RESOLUTIONS]]
        self._crop_bins = [window * CROP_HERTZ // geometry.sample_rate_hertz + 1 for window in windows]
        self.discriminators = nn.ModuleList(Discriminator() for _ in range(RESOLUTIONS))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(
        self,
        synthesized: Sequence[torch.Tensor],
        recorded: Sequence[torch.Tensor],
        generator: torch.Generator,
    ) -> Verdict:
        """The losses of magnitudes [batch, bins, frames], one of each resolution.

        The gradients of `discriminator` are for the discriminators' weights only, those of the others for
        what `synthesized` was computed from: ask for them separately.
        """
        discriminator, adversarial, matching = torch.zeros(3, device=recorded[0].device).unbind()
        pairs = zip(self.discriminators, self._crop_bins, synthesized, recorded, strict=True)
        for judge, crop_bins, ours, theirs in pairs:
            crop = _random_crop(ours.shape, crop_bins, generator)
            truth, truth_seen = judge(theirs[crop])
            opinion, seen = judge(ours[crop])
            discriminator = discriminator + (truth - 1).square().mean() + opinion.square().mean()
            adversarial = adversarial + (opinion - 1).square().mean()
            for synthesized_map, recorded_map in zip(seen, truth_seen, strict=True):
                matching = matching + _relative_distance(synthesized_map, recorded_map.detach()) / len(seen)
        return Verdict(discriminator, adversarial, matching / RESOLUTIONS)


def _random_crop(shape: torch.Size, bins: int, generator: torch.Generator) -> tuple[slice, slice, slice]:
    first_frame = _draw(shape[2] - CROP_FRAMES, generator)
    # Three of four from 0 Hz on, where most of speech is.
    first_bin = (_draw(3, generator) == 0) * _draw(shape[1] - bins, generator)
    return slice(None), slice(first_bin, first_bin + bins), slice(first_frame, first_frame + CROP_FRAMES)


def _draw(highest: int, generator: torch.Generator) -> int:
    return int(torch.randint(max(0, highest) + 1, (), generator=generator))


def _relative_distance(ours: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
    distance = torch.as_tensor(_MeanDistance.apply(ours, theirs))  # type: ignore[no-untyped-call]
    return distance / (theirs.abs().mean(dtype=torch.float32) + _SMALLEST_SIZE)


class _MeanDistance(torch.autograd.Function):
    """Mean of |ours - theirs|, for `ours` to learn from.

    Its gradient is channels-last as the maps are; that of the elementary operations is not, and everything
    behind it is three times slower then.
    """

    @staticmethod
    def forward(ctx: Any, ours: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
        difference = ours - theirs
        ctx.save_for_backward(difference.sign())
        return difference.abs_().mean(dtype=torch.float32)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        (sign,) = ctx.saved_tensors
        return sign * (gradient / sign.numel()).to(sign.dtype), None
