"""Signal processing that training and conversion share; pure functions of arrays.

Analysis audio is mono at 16 kHz, 160 samples a frame; frame `t` is centred on sample `160 t`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.ndimage
import scipy.signal
from numpy.typing import NDArray

Floats = NDArray[np.float32]

ANALYSIS_HOP = 160
SPEECH_LEVEL_DECIBELS = -12.0
"""Level that recordings are brought to before analysis: RMS of the loud frames, where speech peaks near full
scale."""

_LEVEL_WINDOW = 480
_LEVEL_FLOOR_POWER = 1e-8
_LOUD_PERCENTILE = 95
_ACTIVE_RANGE_DECIBELS = 35.0
_DEFAULT_F0_HERTZ = 180.0
_FILTER_BLOCK_SAMPLES = 1 << 18
_FILTER_MARGIN_SAMPLES = 18
"""Three times the filter's length, as scipy's `filtfilt` has it."""
HIGHEST_PEAK = 0.95
"""Of what is analysed, and of a loudness that is imposed."""


def frame_levels(audio: Floats, first_frame: int, frames: int) -> Floats:
    """Level in dB (full scale = 0) of the 30 ms around each frame, [frames]; silence is -80 dB."""
    start = first_frame * ANALYSIS_HOP - _LEVEL_WINDOW // 2
    samples = (frames - 1) * ANALYSIS_HOP + _LEVEL_WINDOW
    inside = np.asarray(audio[max(0, start) : max(0, start + samples)], dtype=np.float64)
    padded = np.zeros(samples + 1)
    offset = 1 + max(0, -start)
    padded[offset : offset + len(inside)] = inside**2
    energy = np.cumsum(padded)
    begins = np.arange(frames) * ANALYSIS_HOP
    power = np.maximum(energy[begins + _LEVEL_WINDOW] - energy[begins], 0) / _LEVEL_WINDOW
    return (10 * np.log10(power + _LEVEL_FLOOR_POWER)).astype(np.float32)


def loud_level(levels: Floats) -> float:
    """Level of the loud frames of a recording, dB."""
    return float(np.percentile(levels, _LOUD_PERCENTILE))


def quietest_speech(levels: Floats) -> float:
    """What speech in a recording of these levels exceeds, 35 dB below the loud frames; below it is room."""
    return loud_level(levels) - _ACTIVE_RANGE_DECIBELS


def active_frames(levels: Floats) -> NDArray[np.bool_]:
    """Frames loud enough to be speech rather than room."""
    return levels > quietest_speech(levels)


def level_gain(levels: Floats) -> float:
    """Factor that brings a recording of these levels to the level of analysis."""
    return float(10 ** ((SPEECH_LEVEL_DECIBELS - loud_level(levels)) / 20))


def gate_f0(f0_hertz: Floats, levels: Floats) -> Floats:
    """F0 where there is speech: what pitch trackers hear in reverberation and breath becomes unvoiced."""
    return np.where(active_frames(levels), f0_hertz, np.float32(0))


def interpolate_unvoiced(f0_hertz: Floats) -> Floats:
    """F0 without zeros: straight lines of ln F0 over unvoiced stretches, the nearest value at both ends."""
    voiced = np.flatnonzero(f0_hertz > 0)
    if not len(voiced):
        return np.full(len(f0_hertz), _DEFAULT_F0_HERTZ, np.float32)
    lines = np.interp(np.arange(len(f0_hertz)), voiced, np.log(f0_hertz[voiced]))
    return np.exp(lines).astype(np.float32)


def phase_at_frames(f0_hertz: Floats) -> NDArray[np.float64]:
    """Phase of the fundamental at each frame in cycles, 0 to 1, for F0 in straight lines between frames."""
    turned = (f0_hertz[:-1].astype(np.float64) + f0_hertz[1:]) / 2 * 0.01
    return np.concatenate([[0.0], np.cumsum(turned)]) % 1.0


def median_filter_f0(f0_hertz: Floats, radius: int) -> Floats:
    """F0 through a running median of `radius` frames (made odd): single octave jumps go. Below 3 nothing is
    done."""
    if radius < 3:
        return f0_hertz
    return np.asarray(scipy.ndimage.median_filter(f0_hertz, size=radius | 1, mode="nearest"))


@dataclass(frozen=True)
class Moments:
    """Mean and standard deviation of a speaker's features, and how many rows they come from."""

    count: float
    mean: Floats
    deviation: Floats

    def standardize(self, rows: Floats) -> Floats:
        """Rows at mean 0 and variance 1."""
        return ((rows - self.mean) / (self.deviation + 1e-5)).astype(np.float32)

    def shrunk(self, prior: Moments, prior_count: float) -> Moments:
        """As if `prior_count` more rows had been seen with the moments of `prior`."""
        ours = self.count / (self.count + prior_count)
        mean = ours * self.mean + (1 - ours) * prior.mean
        spread = ours * (1 - ours) * (self.mean - prior.mean) ** 2
        variance = ours * self.deviation**2 + (1 - ours) * prior.deviation**2 + spread
        return Moments(self.count + prior_count, mean, np.sqrt(variance))


class MomentsOfRows:
    """Moments of rows that come block by block."""

    def __init__(self, dimension: int) -> None:
        self._count = 0
        self._sum = np.zeros(dimension)
        self._sum_of_squares = np.zeros(dimension)

    def add(self, rows: NDArray[np.floating]) -> None:
        """Take in a block [rows, dimension]."""
        exact = rows.astype(np.float64)
        self._count += len(rows)
        self._sum += exact.sum(0)
        self._sum_of_squares += (exact**2).sum(0)

    def result(self) -> Moments:
        """Moments of all rows so far; mean 0 and deviation 1 of none."""
        if not self._count:
            ones = np.ones(len(self._sum), np.float32)
            return Moments(0, ones * 0, ones)
        mean = self._sum / self._count
        variance = np.maximum(self._sum_of_squares / self._count - mean**2, 0)
        return Moments(self._count, mean.astype(np.float32), np.sqrt(variance).astype(np.float32))


def remove_rumble(audio: Floats, sample_rate_hertz: int) -> None:
    """Take what lies below 48 Hz out of `audio`, in place: Butterworth of order 5, forward and backward, both
    ends continued by their mirror image turned upside down, as the original does.

    Goes block by block with the filter's state carried on, so that mapped audio of any length may be given.
    """
    rumble = scipy.signal.butter(5, 48, "highpass", fs=sample_rate_hertz, output="sos")
    settled = scipy.signal.sosfilt_zi(rumble)
    margin = min(_FILTER_MARGIN_SAMPLES, len(audio) - 1)
    before = 2 * float(audio[0]) - audio[margin:0:-1].astype(np.float64)
    after = 2 * float(audio[-1]) - audio[-2 : -2 - margin : -1].astype(np.float64)
    starts = range(0, len(audio), _FILTER_BLOCK_SAMPLES)
    blocks = [audio[start : start + _FILTER_BLOCK_SAMPLES] for start in starts]
    pieces: tuple[NDArray[Any], ...] = (before, *blocks, after)
    parts = [piece for piece in pieces if len(piece)]
    for ordered in (parts, [part[::-1] for part in reversed(parts)]):
        state = settled * ordered[0][0]
        for part in ordered:
            part[:], state = scipy.signal.sosfilt(rumble, part, zi=state)


def limit_peak(audio: Floats) -> None:
    """Turn `audio` down, in place, to a peak of 0.95 if it is louder."""
    blocks = [
        audio[start : start + _FILTER_BLOCK_SAMPLES] for start in range(0, len(audio), _FILTER_BLOCK_SAMPLES)
    ]
    loudest = max(float(np.abs(block).max()) for block in blocks)
    if loudest > HIGHEST_PEAK:
        for block in blocks:
            block /= np.float32(loudest / HIGHEST_PEAK)


def mirrored(positions: NDArray[np.int64], samples: int) -> NDArray[np.int64]:
    """Indices into a recording of so many samples for positions beyond its ends, where it runs back and forth
    without repeating the turning points."""
    period = max(1, 2 * (samples - 1))
    folded = positions % period
    return np.minimum(folded, period - folded)
