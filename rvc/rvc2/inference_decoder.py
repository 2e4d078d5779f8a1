"""The decoder as conversion runs it on a CPU: the sound of `Decoder`, some times faster.

Weight norms are folded, convolutions packed and channels-last, and they may compute in bfloat16. What
rounding would hurt stays in float32: the source, the residual stream of every stage, the rise to the last
stage, the output. A block of frames is computed stage by stage, only where it is heard, and each stage in
strips that stay in cache. Strips hear as far as their convolutions reach: the sound does not depend on how it
is cut.

A transposed convolution of stride `s` is a convolution with `s` times as many channels, one set for each of
`s` neighbouring samples; in channels-last order these already stand in the order of time.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import cast

import torch
from torch import nn
from torch.nn import functional as F

from rvc.convolution import Convolution, image, rows
from rvc.rvc2.decoder import LAST_LEAK, Decoder
from rvc.rvc2.layers import LEAK, NormedConvTranspose1d
from rvc.rvc2.source import driving

_STRIP_VALUES = 2**20
"""Of the residual stream in a strip: with what is computed from them about what fits into a cache."""


@dataclass(frozen=True)
class _Span:
    """Rows `first` to `last` of a sequence."""

    first: int
    last: int

    def wider(self, reach: int, length: int) -> _Span:
        """With the rows that are heard, in a sequence of that length."""
        return _Span(max(0, self.first - reach), min(length, self.last + reach))

    def of(self, x: torch.Tensor, begin: int) -> torch.Tensor:
        """These rows of [rows, ...], which begin with the row `begin`."""
        return x[self.first - begin : self.last - begin]


class InferenceDecoder(nn.Module):
    """A `Decoder` of folded weight norms, for one sequence at a time."""

    def __init__(self, decoder: Decoder, computes_in: torch.dtype) -> None:
        super().__init__()
        geometry = decoder.geometry
        self._hop, self._computes_in = geometry.hop, computes_in
        self._source = decoder.m_source if geometry.f0 else None
        self._cond = decoder.cond
        self._enter = Convolution(decoder.conv_pre.weight, decoder.conv_pre.bias, computes_in)
        self._stages = [_Stage(decoder, i, computes_in) for i in range(len(decoder.ups))]
        self._leave = decoder.conv_post.weight[0] / len(geometry.resblock_kernels)

    def source(
        self,
        f0_hertz: torch.Tensor | None,
        noise: torch.Tensor | None = None,
        start_cycles: torch.Tensor | None = None,
    ) -> torch.Tensor | None:
        """As `Decoder.source`."""
        return driving(self._source, f0_hertz, noise, start_cycles)

    def in_blocks(
        self, z: torch.Tensor, source: torch.Tensor | None, speaker: torch.Tensor, block_frames: int
    ) -> torch.Tensor:
        """As `Decoder.in_blocks`."""
        latents = z[0].T.to(self._computes_in).contiguous()
        drive = None if source is None else source[0, 0]
        condition = self._cond(speaker)[0, :, 0]
        sounds = [
            self._block(latents, drive, condition, _Span(start, min(start + block_frames, len(latents))))
            for start in range(0, len(latents), block_frames)
        ]
        return torch.cat(sounds)[None, None]

    def _block(
        self, latents: torch.Tensor, source: torch.Tensor | None, condition: torch.Tensor, frames: _Span
    ) -> torch.Tensor:
        """Sound of some frames, [samples]."""
        count = len(latents)
        samples = _Span(frames.first * self._hop, frames.last * self._hop)
        heard = samples.wider(self._leave.shape[1] // 2, count * self._hop)
        # Backwards from the sound: what each stage is to give, and the rows that it hears for it.
        spans, wanted = [], heard
        for stage in reversed(self._stages):
            rising = wanted.wider(stage.reach, count * self._hop // stage.samples_per_row)
            spans.append((rising, wanted))
            wanted = stage.below(rising, count * self._hop)
        entering = wanted.wider(self._enter.reach, count)
        x = wanted.of(rows(self._enter(image(entering.of(latents, 0)))), entering.first).float() + condition
        begin = wanted.first
        for stage, (rising, wanted) in zip(self._stages, reversed(spans), strict=True):
            x = stage(x, begin, rising, wanted, source)
            begin = wanted.first
        return self._sound(F.leaky_relu_(x, LAST_LEAK) @ self._leave, heard, samples)

    def _sound(self, taps: torch.Tensor, heard: _Span, wanted: _Span) -> torch.Tensor:
        """[samples wanted] from what each tap of the last convolution makes of each row, [heard, taps]."""
        width = taps.shape[1]
        missing = width // 2 - (wanted.first - heard.first), width // 2 - (heard.last - wanted.last)
        # Sample n is the sum of a diagonal, (n, 0), (n + 1, 1) and so on.
        diagonals = F.pad(taps, (0, 0, *missing)).as_strided(
            (wanted.last - wanted.first, width), (width, width + 1)
        )
        return torch.as_tensor(diagonals.sum(1).tanh_())


class _Stage:
    """Upsampling, the source, and residual blocks side by side."""

    def __init__(self, decoder: Decoder, number: int, computes_in: torch.dtype) -> None:
        geometry = decoder.geometry
        blocks = len(geometry.resblock_kernels)
        self.samples_per_row = prod(geometry.upsample_rates[number + 1 :])
        self._rate = geometry.upsample_rates[number]
        self._computes_in = computes_in
        self._rises_in = torch.float32 if self.samples_per_row == 1 else computes_in
        up = cast(NormedConvTranspose1d, decoder.ups[number])
        # The stage before gives the sum of its blocks where their mean is meant.
        self._rise = _rise(up, 1 / blocks if number else 1.0, self._rises_in)
        self._channels = geometry.upsample_initial_channel >> number + 1
        self._noise = _as_product(decoder.noise_convs[number]) if geometry.f0 else None
        self._blocks = [
            _pairs(block, computes_in) for block in decoder.resblocks[blocks * number : blocks * (number + 1)]
        ]
        self.reach = max(sum(dilated.reach + plain.reach for dilated, plain in b) for b in self._blocks)
        """Rows on either side that the blocks hear."""

    def below(self, span: _Span, samples: int) -> _Span:
        """The rows of the stage before from which these of ours rise, in a sound of so many samples."""
        covering = _Span(span.first // self._rate, -(-span.last // self._rate))
        return covering.wider(self._rise.reach, samples // (self.samples_per_row * self._rate))

    def __call__(
        self, x: torch.Tensor, begin: int, rising: _Span, wanted: _Span, source: torch.Tensor | None
    ) -> torch.Tensor:
        """The sum of the blocks in the rows `wanted`, float32 [rows, channels].

        Args:
            x: the stage before, [rows, its channels], which is overwritten.
            begin: its first row.
            rising: the rows that the blocks hear.
            wanted: rows of this stage.
            source: float32 [all samples].
        """
        drive = F.leaky_relu_(x.to(self._rises_in), LEAK)
        risen = rows(self._rise(image(drive))).reshape(-1, self._channels)
        stream = rising.of(risen, begin * self._rate).float()
        if self._noise is not None and source is not None:
            self._drive(stream, rising, source, *self._noise)
        out = stream.new_empty(wanted.last - wanted.first, self._channels)
        strip = _STRIP_VALUES // self._channels
        for first in range(wanted.first, wanted.last, strip):
            part = _Span(first, min(first + strip, wanted.last))
            heard = _Span(
                max(part.first - self.reach, rising.first), min(part.last + self.reach, rising.last)
            )
            sums = self._residual(heard.of(stream, rising.first))
            part.of(out, wanted.first).copy_(part.of(sums, heard.first))
        return out

    def _drive(
        self,
        stream: torch.Tensor,
        span: _Span,
        source: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
    ) -> None:
        """Add what these rows hear of the source: a convolution, as a product of matrices."""
        kernel, step = len(weight), self.samples_per_row
        first = span.first * step - kernel // 4
        last = first + (span.last - span.first - 1) * step + kernel
        heard = F.pad(source[max(first, 0) : last], (max(-first, 0), max(last - len(source), 0)))
        stream += bias
        stream.addmm_(heard.unfold(0, kernel, step), weight)

    def _residual(self, stream: torch.Tensor) -> torch.Tensor:
        """The sum of the blocks, [rows, channels] to the same shape. Rounded is only what the blocks hear and
        what they change."""
        entering = image(stream)
        total = entering * len(self._blocks)
        low = entering.to(self._computes_in)
        activated = F.leaky_relu(low, LEAK)
        for pairs in self._blocks:
            first, *others = pairs
            change = first[1](first[0](activated))
            for dilated, plain in others:
                plain.add_to(change, dilated(F.leaky_relu_(low + change, LEAK)))
            total += change
        return rows(total)


def _as_product(conv: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """(weight [kernel, channels], bias) of a convolution of the source."""
    weight, bias = conv.get_parameter("weight"), conv.get_parameter("bias")
    return weight[:, 0].T.contiguous(), bias


def _pairs(block: nn.Module, computes_in: torch.dtype) -> list[tuple[Convolution, Convolution]]:
    dilated, plain = (
        cast("list[nn.Conv1d]", list(block.get_submodule(name).children())) for name in ("convs1", "convs2")
    )
    return [
        (
            Convolution(a.weight, a.bias, computes_in, a.dilation[0], LEAK),
            Convolution(b.weight, b.bias, computes_in),
        )
        for a, b in zip(dilated, plain, strict=True)
    ]


def _rise(up: NormedConvTranspose1d, gain: float, computes_in: torch.dtype) -> Convolution:
    """The transposed convolution of the input times `gain`, as a convolution."""
    (stride,), (kernel,) = up.stride, up.kernel_size
    # Tap `k` brings row `i` to sample `i * stride + k - margin`: sample `phase` of row `i + rows_on`.
    taps = [(k, *divmod(k - up.margin, stride)) for k in range(kernel)]
    reach = max(abs(rows_on) for _, rows_on, _ in taps)
    weight = up.weight.new_zeros(stride, up.out_channels, up.in_channels, 2 * reach + 1)
    for k, rows_on, phase in taps:
        weight[phase, :, :, reach - rows_on] = gain * up.weight[:, :, k].T
    bias = up.get_parameter("bias").repeat(stride)
    return Convolution(weight.flatten(0, 1), bias, computes_in)
