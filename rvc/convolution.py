"""Convolutions over time as a processor computes them fastest: weights packed once, channels innermost.

A sequence is an image of height one in channels-last order, so that its memory is one row of channels after
another; `rows` and `image` go between the two views without copying. Where oneDNN serves torch, its fused
operators (those that compiled graphs call) spare a pass over memory for the activation and another for a sum;
elsewhere the ordinary ones say the same.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

_PACKED_FOR_SAMPLES = 4000
"""Length that weights are packed for; they serve any."""


class Convolution:
    """Gives a sequence as long as the one it gets, which counts as 0 beyond its ends."""

    def __init__(
        self,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        computes_in: torch.dtype,
        dilation: int = 1,
        leak: float | None = None,
    ) -> None:
        """
        Args:
            weight: [channels out, channels in, kernel], the kernel odd.
            bias: [channels out].
            computes_in: type of what comes and goes; sums inside are float32.
            dilation: of the kernel.
            leak: slope of a leaky ReLU at the end.
        """
        self.reach = weight.shape[-1] // 2 * dilation
        """Samples on either side that are heard."""
        self._shape = (0, self.reach), (1, 1), (1, dilation), 1
        self._slopes = [] if leak is None else [leak]
        self._bias = None if bias is None else bias.detach().to(computes_in)
        flat = weight.detach().unsqueeze(2).to(computes_in)
        self._weight = flat.contiguous(memory_format=torch.channels_last)
        self._fused = _fuses(computes_in)
        if self._fused:
            self._weight = torch.ops.mkldnn._reorder_convolution_weight(
                self._weight, *self._shape, [1, weight.shape[1], 1, _PACKED_FOR_SAMPLES]
            )

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """[1, channels in, 1, samples] to [1, channels out, 1, samples]."""
        if self._fused:
            activation = "leaky_relu" if self._slopes else "none"
            return torch.as_tensor(
                torch.ops.mkldnn._convolution_pointwise(
                    x, self._weight, self._bias, *self._shape, activation, self._slopes, ""
                )
            )
        padding, stride, dilation, groups = self._shape
        heard = F.conv2d(x, self._weight, self._bias, stride, padding, dilation, groups)
        return F.leaky_relu_(heard, self._slopes[0]) if self._slopes else heard

    def add_to(self, total: torch.Tensor, x: torch.Tensor) -> None:
        """Add what `x` gives to a total of its shape, in place. Only without a leaky ReLU."""
        if self._fused:
            torch.ops.mkldnn._convolution_pointwise_.binary(
                total, x, self._weight, self._bias, *self._shape, "add", 1.0, None, [], None
            )
        else:
            total += self(x)


class PackedConv1d(nn.Module):
    """An `nn.Conv1d` of stride 1, for one sequence: from and to float32, whatever it computes in."""

    def __init__(self, conv: nn.Conv1d, computes_in: torch.dtype) -> None:
        super().__init__()
        self._convolution = Convolution(conv.weight, conv.bias, computes_in, conv.dilation[0])
        self._computes_in = computes_in
        self._cut = self._convolution.reach - int(conv.padding[0])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[1, channels in, samples] to [1, channels out, samples], less what the padding does not make up."""
        flat = x.unsqueeze(2).to(self._computes_in).contiguous(memory_format=torch.channels_last)
        heard = self._convolution(flat).squeeze(2).float()
        return heard[..., self._cut : heard.shape[-1] - self._cut]


def pack_convolutions(network: nn.Module, computes_in: torch.dtype) -> None:
    """Put a `PackedConv1d` in the place of each convolution below that it can stand for."""
    for name, module in list(network.named_children()):
        if isinstance(module, nn.Conv1d) and _packs(module):
            setattr(network, name, PackedConv1d(module, computes_in))
        else:
            pack_convolutions(module, computes_in)


def _packs(conv: nn.Conv1d) -> bool:
    odd = conv.kernel_size[0] % 2 == 1
    return odd and conv.stride == (1,) and conv.groups == 1 and isinstance(conv.padding, tuple)


def image(rows: torch.Tensor) -> torch.Tensor:
    """[samples, channels], contiguous, as [1, channels, 1, samples]."""
    return rows.unsqueeze(0).unsqueeze(0).permute(0, 3, 1, 2)


def rows(image: torch.Tensor) -> torch.Tensor:
    """The inverse of `image`."""
    return image[0, :, 0].T


def _fuses(computes_in: torch.dtype) -> bool:
    """Whether this build of torch has oneDNN's fused operators for this type and processor."""
    if not torch._C._has_mkldnn or not hasattr(torch.ops.mkldnn, "_convolution_pointwise"):
        return False
    return computes_in == torch.float32 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
