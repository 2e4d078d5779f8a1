"""The sine that drives the decoder of a pitch-guided voice: its fundamental only, noise where unvoiced.

    s(n) = 0.1 sin(2 pi sum_{k <= n} f0(k) / rate)        F0 held over each frame

The sum runs in float64, so that it drifts nowhere, and takes the phase at which it starts, so that the tiles
of a file can continue one another.
"""

from __future__ import annotations

import torch
from torch import nn

_AMPLITUDE = 0.1
_VOICED_NOISE = 0.003
_UNVOICED_NOISE = _AMPLITUDE / 3


def phase_before(f0_hertz: torch.Tensor, sample_rate_hertz: int) -> torch.Tensor:
    """Cycles that the sine has turned before the first sample of each frame, 0 to 1: float64 of the same
    shape, [..., frames]."""
    per_sample = _cycles_per_sample(f0_hertz, sample_rate_hertz)
    turned = sample_rate_hertz // 100 * (per_sample.cumsum(-1) - per_sample)
    return turned - turned.floor()


def _cycles_per_sample(f0_hertz: torch.Tensor, sample_rate_hertz: int) -> torch.Tensor:
    # Divided in float32, as in the original: the frequencies are then its own to the last bit.
    return (f0_hertz / sample_rate_hertz).double()


@torch.no_grad()
def sine(
    f0_hertz: torch.Tensor, sample_rate_hertz: int, start_cycles: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """(the sine, voicing as 0 or 1), each float32 [batch, frames * hop].

    Args:
        f0_hertz: [batch, frames], 0 where unvoiced.
        sample_rate_hertz: of the sine.
        start_cycles: [batch], phase just before the first sample; 0 without.
    """
    hop = sample_rate_hertz // 100
    per_sample = _cycles_per_sample(f0_hertz, sample_rate_hertz)
    before = phase_before(f0_hertz, sample_rate_hertz)
    if start_cycles is not None:
        before = before + start_cycles.double().unsqueeze(-1)
    within = torch.arange(1, hop + 1, device=f0_hertz.device, dtype=torch.float64)
    phase = (before.unsqueeze(-1) + per_sample.unsqueeze(-1) * within).flatten(1)
    turned = (phase - phase.floor()).float() * (2 * torch.pi)
    voiced = (f0_hertz > 0).float().repeat_interleave(hop, -1)
    return _AMPLITUDE * turned.sin_() * voiced, voiced


class Source(nn.Module):
    """The sine and its noise, scaled and squashed as the voice has learnt."""

    def __init__(self, sample_rate_hertz: int) -> None:
        super().__init__()
        self.sample_rate_hertz = sample_rate_hertz
        self.l_linear = nn.Linear(1, 1)

    def forward(
        self,
        f0_hertz: torch.Tensor,
        noise: torch.Tensor | None = None,
        start_cycles: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """[batch, 1, frames * hop].

        Args:
            f0_hertz: [batch, frames], 0 where unvoiced.
            noise: standard normal, [batch, frames * hop]; None for none.
            start_cycles: as for `sine`.
        """
        waves, voiced = sine(f0_hertz, self.sample_rate_hertz, start_cycles)
        if noise is not None:
            waves = waves + noise * torch.where(voiced > 0, _VOICED_NOISE, _UNVOICED_NOISE)
        # Written out, lest autocast round a phase.
        return torch.tanh(waves * self.l_linear.weight[0] + self.l_linear.bias).unsqueeze(1)


def driving(
    source: Source | None,
    f0_hertz: torch.Tensor | None,
    noise: torch.Tensor | None,
    start_cycles: torch.Tensor | None,
) -> torch.Tensor | None:
    """What `Source` says; None for a voice that has none, being without pitch."""
    if source is None:
        return None
    if f0_hertz is None:
        raise ValueError("a pitch-guided voice needs F0")
    return torch.as_tensor(source(f0_hertz, noise, start_cycles))
