"""Features of a recording that is still being made: what was heard lately, by estimates of the whole.

A file is analysed as a whole (`rvc.source`); here the same is done to a stretch of it at a time. What depends
on the whole (the gain to the level of analysis, the moments of level and content, how far to transpose) comes
from the last minute, or is given.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rvc.architectures import FRAMES_PER_ROW, FRAMES_PER_SECOND
from rvc.audio import ANALYSIS_RATE_HERTZ
from rvc.content import ContentEncoder
from rvc.pitch import PitchExtractor
from rvc.signal import (
    ANALYSIS_HOP,
    HIGHEST_PEAK,
    Floats,
    Moments,
    MomentsOfRows,
    active_frames,
    frame_levels,
    interpolate_unvoiced,
    level_gain,
    median_filter_f0,
    mirrored,
    quietest_speech,
    remove_rumble,
)
from rvc.source import Hearing, Source

_REMEMBERED_FRAMES = 60 * FRAMES_PER_SECOND
_SETTLED_FRAMES = 2 * FRAMES_PER_SECOND
"""Of voiced sound, after which automatic transposition stays what it is."""
_HIGHEST_GAIN = 250.0
"""Of what was so quiet so far that it may be silence."""


@dataclass(frozen=True)
class SpeakerStatistics:
    """What a recording tells of its speaker, to begin another one with."""

    gain: float
    """That brings the microphone's level to that of analysis."""
    semitones: int
    level_moments: Moments
    content_moments: Moments

    @classmethod
    def of(cls, source: Source) -> SpeakerStatistics:
        """Those of a recording that was analysed as a whole."""
        return cls(1 / source.loudness_gain, source.semitones, source.level_moments, source.content_moments)


class Listener:
    """Keeps what was pushed lately and analyses stretches of it."""

    def __init__(
        self,
        encoder: ContentEncoder,
        pitch: PitchExtractor,
        hearing: Hearing,
        statistics: SpeakerStatistics | None,
    ) -> None:
        self._encoder, self._pitch, self._hearing = encoder, pitch, hearing
        self._given = statistics
        self._samples = np.zeros(0, np.float32)
        self._forgotten = 0
        self._peak = 0.0
        self._levels = np.zeros(0, np.float32)
        self._f0 = np.zeros(0, np.float32)
        self._content = MomentsOfRows(encoder.dimension)
        self._semitones = hearing.transposition.semitones
        self._learnt_frames = 0

    @property
    def samples(self) -> int:
        """Heard so far, at 16 kHz."""
        return self._forgotten + len(self._samples)

    def push(self, samples: Floats) -> None:
        """Hear mono float32 samples at 16 kHz."""
        self._peak = max(self._peak, float(np.abs(samples).max(initial=0.0)))
        self._samples = np.concatenate([self._samples, samples])

    def forget(self, frame: int) -> None:
        """Nothing before this frame will be asked for again."""
        count = min(frame * ANALYSIS_HOP - self._forgotten, len(self._samples))
        if count > 0:
            self._samples = self._samples[count:].copy()
            self._forgotten += count

    def analyse(self, first: int, end: int) -> Source:
        """The frames [first, end), even: the source of a file that is no longer than these. Before and after
        the recording lies its mirror image, or silence where the voice wants none."""
        audio = self._stretch(first, end)
        raw_levels = frame_levels(audio, 0, end - first)
        fresh = slice(self._learnt_frames - first, None)
        self._levels = np.concatenate([self._levels, raw_levels[fresh]])[-_REMEMBERED_FRAMES:]
        gain = self._gain()
        audio *= np.float32(gain)
        levels = frame_levels(audio, 0, end - first)
        so_far = self._levels + np.float32(20 * np.log10(gain))
        active = levels > quietest_speech(so_far)
        f0 = self._pitch(audio)[: len(levels)]
        heard = np.where(active, f0, np.float32(0)) if self._hearing.conventions.gates_f0 else f0
        heard = median_filter_f0(heard, self._hearing.filter_radius)
        content = self._encoder(audio).astype(np.float32)
        self._learn(heard[fresh], content[fresh.start // FRAMES_PER_ROW :], active[fresh][::FRAMES_PER_ROW])
        self._learnt_frames = end
        return Source(
            frames=end - first,
            padding_frames=0,
            samples=len(audio),
            audio=audio,
            loudness_gain=1 / gain,
            f0_hertz=interpolate_unvoiced(heard) * np.float32(2 ** (self._semitones / 12)),
            voiced=heard > 0,
            semitones=self._semitones,
            levels=levels,
            level_moments=self._given.level_moments if self._given else _moments_of(so_far),
            content=content,
            content_moments=self._given.content_moments if self._given else self._content.result(),
        )

    def _stretch(self, first: int, end: int) -> Floats:
        begin, stop = max(first * ANALYSIS_HOP, 0), min(end * ANALYSIS_HOP, self.samples)
        heard = self._samples[begin - self._forgotten : stop - self._forgotten].copy()
        if not self._hearing.conventions.levels_speech and self._peak > HIGHEST_PEAK:
            heard *= np.float32(HIGHEST_PEAK / self._peak)
        remove_rumble(heard, ANALYSIS_RATE_HERTZ)
        positions = np.arange(first * ANALYSIS_HOP, end * ANALYSIS_HOP) - begin
        if self._hearing.padding_frames:
            return heard[mirrored(positions, len(heard))]
        audio = np.pad(heard, (0, len(positions) - len(heard)))
        return audio

    def _gain(self) -> float:
        if not self._hearing.conventions.levels_speech:
            return 1.0
        return self._given.gain if self._given else min(level_gain(self._levels), _HIGHEST_GAIN)

    def _learn(self, f0_hertz: Floats, content: Floats, active: np.ndarray) -> None:
        """Take in what is heard for the first time."""
        self._content.add(content[: len(active)][active])
        if self._given:
            self._semitones = self._given.semitones
        elif np.count_nonzero(self._f0) < _SETTLED_FRAMES:
            self._f0 = np.concatenate([self._f0, f0_hertz])[-_REMEMBERED_FRAMES:]
            self._semitones = self._hearing.transposition.total(self._f0)


def _moments_of(levels: Floats) -> Moments:
    moments = MomentsOfRows(1)
    moments.add(levels[active_frames(levels), None])
    return moments.result()
