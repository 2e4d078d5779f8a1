"""What the decoder's filters are driven with: a train of band-limited pulses, and noise.

The pulses are a closed form of the phase, so a tile's excitation needs nothing from the tiles before it.
"""

from __future__ import annotations

import torch


def pulse_train(
    f0_hertz: torch.Tensor, voiced: torch.Tensor, phase_cycles: torch.Tensor, sample_rate_hertz: int
) -> torch.Tensor:
    """All harmonics of F0 below Nyquist, at unit power density, faded out over unvoiced frames.

    F0 runs in straight lines between frames, so the phase inside a frame is a parabola; the sum of `n`
    cosines is Dirichlet's kernel `(sin((2 n + 1) x) / sin(x) - 1) / 2` with `x` half the phase in radians.

    Args:
        f0_hertz: [batch, frames], above 0 everywhere.
        voiced: [batch, frames], 0 or 1; dilated by one frame, since pitch trackers are late at onsets.
        phase_cycles: [batch, frames], 0 to 1.

    Returns:
        [batch, frames * hop]; the last frame holds its F0 to its end.
    """
    hop = sample_rate_hertz // 100
    within = torch.arange(hop, device=f0_hertz.device, dtype=f0_hertz.dtype) / hop
    slope = _next(f0_hertz) - f0_hertz
    f0 = (f0_hertz[..., None] + slope[..., None] * within).flatten(1)
    turned = 0.01 * (f0_hertz[..., None] * within + slope[..., None] * within.square() / 2)
    phase = (phase_cycles[..., None] + turned).flatten(1)
    half_turn = torch.pi * (phase - phase.round())
    harmonics = (sample_rate_hertz / 2 / f0).floor()
    sine = half_turn.sin()
    at_pulse = sine.abs() < 1e-6
    ratio = ((2 * harmonics + 1) * half_turn).sin() / torch.where(at_pulse, torch.ones_like(sine), sine)
    cosines = (torch.where(at_pulse, 2 * harmonics + 1, ratio) - 1) / 2
    gate = torch.nn.functional.max_pool1d(voiced[:, None].to(f0.dtype), 3, 1, 1)[:, 0]
    fade = (gate[..., None] + (_next(gate) - gate)[..., None] * within).flatten(1)
    return cosines * (4 * f0 / sample_rate_hertz).sqrt() * fade


def _next(frames: torch.Tensor) -> torch.Tensor:
    return torch.cat([frames[:, 1:], frames[:, -1:]], 1)
