"""Cut a recording at its silences, as RVC's preprocessing does.

A silence counts when it is long enough and the clip before it has become long enough; it is cut at its
quietest place, and of a long one only the edges are kept. Works on the loudness of hops, so cost and memory
are those of one pass over the samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_WINDOW_HOPS = 4
"""Loudness is taken over four hops, centred on the first sample of each."""


@dataclass(frozen=True)
class SlicingSettings:
    """RVC's values."""

    threshold_decibels: float = -42.0
    """Quieter than this, relative to full scale, is silence."""
    minimum_clip_milliseconds: int = 1500
    """A clip is not ended before it is this long."""
    minimum_silence_milliseconds: int = 400
    """Shorter silences belong to the clip."""
    hop_milliseconds: int = 15
    kept_silence_milliseconds: int = 500
    """At most this much silence stays at either edge of a clip."""


def slice_on_silence(
    audio: np.ndarray, sample_rate_hertz: int, settings: SlicingSettings = SlicingSettings()
) -> list[tuple[int, int]]:
    """Sample bounds [start, end) of the clips in mono audio [samples], in order, without overlap.

    A recording without a cut is one clip; one that is all silence may be none.
    """
    hop = round(sample_rate_hertz * settings.hop_milliseconds / 1000)
    hops = _Hops(
        minimum_clip=_in_hops(settings.minimum_clip_milliseconds, sample_rate_hertz, hop),
        minimum_silence=_in_hops(settings.minimum_silence_milliseconds, sample_rate_hertz, hop),
        kept_silence=_in_hops(settings.kept_silence_milliseconds, sample_rate_hertz, hop),
    )
    loudness = _loudness(audio, hop)
    dropped = _dropped_stretches(loudness, 10.0 ** (settings.threshold_decibels / 20.0), hops)
    starts = [0] + [end for _, end in dropped]
    ends = [start for start, _ in dropped] + [len(loudness)]
    bounds = ((start * hop, min(end * hop, len(audio))) for start, end in zip(starts, ends, strict=True))
    return [(start, end) for start, end in bounds if start < end]


@dataclass(frozen=True)
class _Hops:
    minimum_clip: int
    minimum_silence: int
    kept_silence: int


def _in_hops(milliseconds: int, sample_rate_hertz: int, hop: int) -> int:
    return round(sample_rate_hertz * milliseconds / 1000 / hop)


def _loudness(audio: np.ndarray, hop: int) -> np.ndarray:
    """RMS [samples // hop + 1] around the start of every hop; zeros beyond the recording."""
    frames = len(audio) // hop + 1
    half = _WINDOW_HOPS // 2
    energy = np.zeros(frames + _WINDOW_HOPS)
    whole = len(audio) // hop
    energy[half : half + whole] = np.square(audio[: whole * hop].reshape(whole, hop), dtype=np.float64).sum(1)
    energy[half + whole] = np.square(audio[whole * hop :], dtype=np.float64).sum()
    windows = np.lib.stride_tricks.sliding_window_view(energy, _WINDOW_HOPS)[:frames].sum(1)
    rms: np.ndarray = np.sqrt(windows / (_WINDOW_HOPS * hop))
    return rms


def _dropped_stretches(loudness: np.ndarray, threshold: float, hops: _Hops) -> list[tuple[int, int]]:
    """Stretches [start, end) of hops between clips, in order; an empty one is a plain cut."""
    dropped: list[tuple[int, int]] = []
    clip_start = 0
    for start, end in _silences(loudness < threshold):
        if end == len(loudness):
            if end - start >= hops.minimum_silence:
                dropped.append((_quietest(loudness, start, start + hops.kept_silence), end))
            break
        leading = start == 0 and end > hops.kept_silence
        if leading or (end - start >= hops.minimum_silence and end - clip_start >= hops.minimum_clip):
            cut = _cut(loudness, start, end, hops.kept_silence)
            dropped.append(cut)
            clip_start = cut[1]
    return dropped


def _silences(silent: np.ndarray) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], silent, [False]])))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def _cut(loudness: np.ndarray, start: int, end: int, kept: int) -> tuple[int, int]:
    """What to drop of the silence [start, end), which sound follows."""
    if end - start <= kept:
        place = _quietest(loudness, start, end)
        return (0 if start == 0 else place), place
    left = _quietest(loudness, start, start + kept)
    right = _quietest(loudness, end - kept, end)
    if start == 0:
        return 0, right
    if end - start <= 2 * kept:
        middle = _quietest(loudness, end - kept, start + kept)
        return min(left, middle), max(right, middle)
    return left, right


def _quietest(loudness: np.ndarray, first: int, last: int) -> int:
    """The quietest hop of first to last, both included."""
    return first + int(loudness[first : last + 1].argmin())
