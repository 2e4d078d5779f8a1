"""Long recordings through a network that sees some seconds at once, without seams.

Windows lie on a fixed grid from the first sample of the recording, `hop_frames` apart, each with
`context_frames` more on both sides. Around each grid point the two windows that know it are cross-faded.
What comes out for a frame therefore depends on the recording alone: any range of rows equals the same rows
of the whole, and memory is bounded by one window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class WindowGrid:
    """How a recording is cut; all figures in frames of the network's output."""

    hop_frames: int
    """Distance of the windows."""
    context_frames: int
    """What a window sees beyond its own stretch, on either side."""
    fade_frames: int
    """Length of a cross-fade, centred on the grid point; at most twice the context."""

    def count(self, frames: int) -> int:
        """Windows of a recording; the last one also takes a remainder no longer than the context."""
        return max(1, -(-(frames - self.context_frames) // self.hop_frames))

    def span(self, index: int, frames: int) -> tuple[int, int]:
        """First and last (exclusive) frame that window `index` sees."""
        start = max(0, index * self.hop_frames - self.context_frames)
        last = index == self.count(frames) - 1
        return start, frames if last else (index + 1) * self.hop_frames + self.context_frames

    def _fade_start(self, index: int, frames: int) -> int:
        """Where the fade into window `index` begins: the first frame that this window has a part in."""
        if index == 0:
            return 0
        if index == self.count(frames):
            return frames
        return index * self.hop_frames - self.fade_frames // 2

    def rows(
        self, encode: Callable[[int, int], np.ndarray], frames: int, first: int, last: int
    ) -> Iterator[np.ndarray]:
        """Rows [first, last) of the recording's features, in consecutive blocks, one per window.

        `encode(start, end)` gives the network's rows [end - start, dimension] for the frames [start, end).
        """
        if not 0 <= first <= last <= frames:
            raise ValueError(f"rows {first} to {last} of a recording of {frames} frames")
        tail: np.ndarray | None = None
        for index in range(self.count(frames)):
            start, end = self._fade_start(index, frames), self._fade_start(index + 1, frames)
            fade_end = min(end + self.fade_frames, frames) if index + 1 < self.count(frames) else end
            if fade_end <= first or start >= last:
                continue
            span_start, span_end = self.span(index, frames)
            seen = encode(span_start, span_end)
            block = seen[start - span_start : end - span_start]
            if tail is not None:
                block = np.concatenate([_cross_fade(tail, block[: len(tail)]), block[len(tail) :]])
            tail = seen[end - span_start : fade_end - span_start]
            wanted = block[max(first - start, 0) : max(last - start, 0)]
            if len(wanted):
                yield wanted


def _cross_fade(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    rise = ((np.arange(len(before), dtype=np.float32) + 0.5) / len(before))[:, None]
    faded: np.ndarray = before + rise * (after - before)
    return faded
