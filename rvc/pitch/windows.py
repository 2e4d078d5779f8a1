"""Recordings of any length through an extractor that sees some seconds at once.

All windows of a recording are equally long, so that none is at a disadvantage; neighbours overlap by twice
the context, and each frame comes from a window that sees the context around it (or the recording's end).
Where windows lie depends on the recording's length alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rvc.signal import ANALYSIS_HOP

HOP = ANALYSIS_HOP

LOWEST_HERTZ = 50.0
HIGHEST_HERTZ = 1100.0


@dataclass(frozen=True)
class Windows:
    """How a recording is cut; all figures in frames."""

    length: int
    """Recordings up to this are seen whole."""
    context: int
    """What a window sees beyond its own stretch, on either side."""
    grid: int = 1
    """Windows begin at multiples of this, for networks that halve time; divides length and context. The last
    window of a recording may then be shorter than the others by less than the grid."""

    def spans(self, frames: int) -> list[tuple[int, int]]:
        """First and last (exclusive) frame of each window; none of an empty recording."""
        if not frames:
            return []
        latest = -(-max(0, frames - self.length) // self.grid) * self.grid
        hop = self.length - 2 * self.context
        firsts = [*range(0, latest, hop), latest]
        return [(first, min(first + self.length, frames)) for first in firsts]

    def __call__(self, frames: int, f0_of: Callable[[int, int], np.ndarray]) -> np.ndarray:
        """F0 of all frames, float32 [frames], from `f0_of(first, last)`, that of the frames [first, last)."""
        f0 = np.zeros(frames, np.float32)
        for first, last in self.spans(frames):
            kept = first + self.context if first else 0
            f0[kept:last] = f0_of(first, last)[kept - first :]
        return f0


def centred(audio: np.ndarray, first: int, last: int, size: int, padding: str) -> np.ndarray:
    """The samples under the frames [first, last), each `size` samples around its own, float32.

    Beyond the recording's ends the samples are mirrored (`padding` "reflect") or 0 ("constant").
    """
    start, end = first * HOP - size // 2, (last - 1) * HOP + size // 2
    missing = (max(0, -start), max(0, end - len(audio)))
    inside = np.asarray(audio[max(0, start) : end], dtype=np.float32)
    padded: np.ndarray = np.pad(inside, missing, mode=padding)  # type: ignore[call-overload]
    return padded


def in_range(f0_hertz: np.ndarray) -> np.ndarray:
    """F0, float32, with what is not within 50 to 1100 Hz as unvoiced."""
    fits = (f0_hertz >= LOWEST_HERTZ) & (f0_hertz <= HIGHEST_HERTZ)
    return np.where(fits, f0_hertz, 0.0).astype(np.float32)
