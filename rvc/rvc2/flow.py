"""Latents: the invertible flow between prior and posterior, and the posterior encoder of training.

Both are stacks of WaveNets conditioned on the speaker; the flow is what takes a speaker's identity out of the
latents (forward, in training) and puts another's in (inverse, in conversion).
"""

from __future__ import annotations

import torch
from torch import nn

from rvc.rvc2.geometry import Geometry
from rvc.rvc2.layers import WaveNet

_COUPLINGS = 4
_COUPLING_LAYERS = 3
_POSTERIOR_LAYERS = 16


class _Coupling(nn.Module):
    """Shifts the second half of the channels by what the first half says."""

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        half, hidden = geometry.inter_channels // 2, geometry.hidden_channels
        self.pre = nn.Conv1d(half, hidden, 1)
        self.enc = WaveNet(hidden, _COUPLING_LAYERS, geometry.speaker_channels)
        self.post = nn.Conv1d(hidden, half, 1)
        nn.init.zeros_(self.post.weight)
        nn.init.zeros_(self.post.bias)  # type: ignore[arg-type]

    def forward(
        self, x: torch.Tensor, mask: torch.Tensor, speaker: torch.Tensor, inverse: bool
    ) -> torch.Tensor:
        first, second = x.chunk(2, 1)
        shift = self.post(self.enc(self.pre(first) * mask, mask, speaker)) * mask
        second = (second - shift) * mask if inverse else shift + second * mask
        return torch.cat([first, second], 1)


class Flow(nn.Module):
    """Couplings, each followed by a reversal of the channels."""

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        # The files count the reversals, too, so couplings have the even numbers.
        self.flows = nn.ModuleDict({str(2 * i): _Coupling(geometry) for i in range(_COUPLINGS)})

    def forward(
        self, z: torch.Tensor, mask: torch.Tensor, speaker: torch.Tensor, inverse: bool = False
    ) -> torch.Tensor:
        """[batch, inter channels, frames] to the same shape: posterior to prior, or back.

        Args:
            z: latents.
            mask: [batch, 1, frames].
            speaker: [batch, speaker channels, 1].
            inverse: from prior to posterior.
        """
        couplings = list(self.flows.values())
        for coupling in reversed(couplings) if inverse else couplings:
            if inverse:
                z = coupling(z.flip(1), mask, speaker, inverse)
            else:
                z = coupling(z, mask, speaker, inverse).flip(1)
        return z


class PosteriorEncoder(nn.Module):
    """Linear magnitude spectrogram of a recording to the distribution of its latents."""

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        hidden = geometry.hidden_channels
        self.pre = nn.Conv1d(geometry.spectrogram_bins, hidden, 1)
        self.enc = WaveNet(hidden, _POSTERIOR_LAYERS, geometry.speaker_channels)
        self.proj = nn.Conv1d(hidden, 2 * geometry.inter_channels, 1)

    def forward(
        self, spectrogram: torch.Tensor, mask: torch.Tensor, speaker: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(mean, log deviation), each [batch, inter channels, frames], masked, of [batch, bins, frames]."""
        x = self.enc(self.pre(spectrogram) * mask, mask, speaker)
        mean, log_deviation = (self.proj(x) * mask).chunk(2, 1)
        return mean, log_deviation
