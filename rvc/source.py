"""What conversion must know of a whole recording before it can synthesize any part of it.

Pitch, voicing and loudness are kept in memory (a megabyte an hour and feature); samples and content, which
are large, in files of a scratch folder, mapped. How a recording is heard follows the conventions that the
voice was trained by. Where its network wants to hear something before and after a file, that is the file's
mirror image, and all arrays cover it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rvc.architectures import FRAMES_PER_ROW, FRAMES_PER_SECOND, Conventions
from rvc.audio import ANALYSIS_RATE_HERTZ, SpooledAudio
from rvc.content import ContentEncoder
from rvc.errors import Terminated
from rvc.pitch import PitchExtractor
from rvc.pitch.transpose import automatic_transpose
from rvc.signal import (
    ANALYSIS_HOP,
    HIGHEST_PEAK,
    Floats,
    Moments,
    MomentsOfRows,
    active_frames,
    frame_levels,
    gate_f0,
    interpolate_unvoiced,
    level_gain,
    limit_peak,
    median_filter_f0,
    mirrored,
    remove_rumble,
)

_BLOCK_FRAMES = 2000


@dataclass(frozen=True)
class Transposition:
    """How far F0 is moved."""

    semitones: int
    towards_hertz: float | None = None
    """First bring the recording's median F0 here, in whole semitones; the others come on top."""

    def total(self, f0_hertz: Floats) -> int:
        """Semitones for a recording with this F0, 0 where unvoiced."""
        if self.towards_hertz is None:
            return self.semitones
        return self.semitones + automatic_transpose(f0_hertz, self.towards_hertz)


@dataclass(frozen=True)
class Hearing:
    """How a recording is to be heard."""

    conventions: Conventions
    padding_frames: int
    """Of mirror image before and after it, even."""
    transposition: Transposition
    filter_radius: int
    """Of the median over F0; less than 3: none."""


@dataclass(frozen=True)
class Source:
    """A recording, analysed. `frames` is even and covers the whole recording; the arrays are as much longer
    on both sides as the padding."""

    frames: int
    padding_frames: int
    samples: int
    """Of the recording itself, at 16 kHz."""
    audio: Floats
    """[all frames * 160] at 16 kHz without rumble, at the level of analysis; without padding zeros after the
    end."""
    loudness_gain: float
    """Factor from `audio` to the loudness to impose: the recording's own, but within full scale."""
    f0_hertz: Floats
    """[all frames], transposed, interpolated where unvoiced."""
    voiced: NDArray[np.bool_]
    semitones: int
    """By which F0 was transposed."""
    levels: Floats
    """[all frames] dB."""
    level_moments: Moments
    content: Floats | NDArray[np.float16]
    """[all frames / 2, dimension] as the encoder gave it."""
    content_moments: Moments

    @property
    def recording(self) -> Floats:
        """[samples], the audio without what was put around it."""
        first = self.padding_frames * ANALYSIS_HOP
        return self.audio[first : first + self.samples]

    @property
    def inside(self) -> slice:
        """The recording's own frames."""
        return slice(self.padding_frames, self.padding_frames + self.frames)

    @property
    def voiced_percent(self) -> int:
        """Of the recording's frames."""
        return round(100 * float(self.voiced[self.inside].mean()))

    @property
    def median_f0_hertz(self) -> float:
        """Of the voiced frames, after transposition; 0 if there are none."""
        voiced = self.f0_hertz[self.inside][self.voiced[self.inside]]
        return round(float(np.median(voiced)), 1) if len(voiced) else 0.0


def analyse(
    spool: SpooledAudio,
    scratch: Path,
    encoder: ContentEncoder,
    pitch: PitchExtractor,
    hearing: Hearing,
    *,
    stop: Callable[[], bool] = lambda: False,
) -> Source:
    """Analyse a recording of any length; files in `scratch` live as long as the result is used.

    Raises Terminated when `stop`, asked between the networks' windows, becomes true.
    """
    conventions, padding = hearing.conventions, hearing.padding_frames
    frames = -(-spool.source_frames * FRAMES_PER_SECOND // spool.source_rate_hertz)
    frames += frames % FRAMES_PER_ROW
    inside = slice(padding, padding + frames)
    audio, loudness_gain = _prepared(spool.samples, frames, hearing, scratch / "analysis.f32")
    levels = _levels(audio)
    active = active_frames(levels)
    go_on_unless(stop)
    f0 = pitch(audio)[: len(levels)]
    go_on_unless(stop)
    heard = median_filter_f0(gate_f0(f0, levels) if conventions.gates_f0 else f0, hearing.filter_radius)
    semitones = hearing.transposition.total(heard[inside])
    of_levels = MomentsOfRows(1)
    of_levels.add(levels[active, None])
    content, content_moments = _content(
        audio, active[::FRAMES_PER_ROW], encoder, scratch / "content.f16", stop
    )
    return Source(
        frames=frames,
        padding_frames=padding,
        samples=min(len(spool.samples), frames * ANALYSIS_HOP),
        audio=audio,
        loudness_gain=loudness_gain,
        f0_hertz=interpolate_unvoiced(heard) * np.float32(2 ** (semitones / 12)),
        voiced=heard > 0,
        semitones=semitones,
        levels=levels,
        level_moments=of_levels.result(),
        content=content,
        content_moments=content_moments,
    )


def go_on_unless(stop: Callable[[], bool]) -> None:
    """Raise Terminated if `stop` says so."""
    if stop():
        raise Terminated("the conversion was stopped; it starts again from the beginning of this file")


def _prepared(samples: Floats, frames: int, hearing: Hearing, path: Path) -> tuple[Floats, float]:
    """(the recording as it is analysed, the factor back to a loudness within full scale)."""
    first = hearing.padding_frames * ANALYSIS_HOP
    audio = np.memmap(path, np.float32, "w+", shape=(frames * ANALYSIS_HOP + 2 * first,))
    given = min(frames * ANALYSIS_HOP, len(samples))
    recording = audio[first : first + given]
    recording[:] = samples[:given]
    gain = 1.0
    if hearing.conventions.levels_speech:
        remove_rumble(recording, ANALYSIS_RATE_HERTZ)
        gain = _bring_to_speech_level(audio)
    else:
        limit_peak(recording)
        remove_rumble(recording, ANALYSIS_RATE_HERTZ)
    if first:
        audio[:first] = recording[mirrored(np.arange(-first, 0), given)]
        audio[first + given :] = recording[mirrored(np.arange(given, len(audio) - first), given)]
    return audio, gain


def _bring_to_speech_level(audio: Floats) -> float:
    """Amplify in place, as training does; returns the factor back to a loudness within full scale."""
    gain = level_gain(_levels(audio))
    peak = 0.0
    for start in range(0, len(audio), _BLOCK_FRAMES * ANALYSIS_HOP):
        block = audio[start : start + _BLOCK_FRAMES * ANALYSIS_HOP]
        peak = max(peak, float(np.abs(block).max()))
        block *= np.float32(gain)
    return min(1.0, HIGHEST_PEAK / peak) / gain if peak else 1.0


def _levels(audio: Floats) -> Floats:
    frames = len(audio) // ANALYSIS_HOP
    return np.concatenate(
        [
            frame_levels(audio, first, min(_BLOCK_FRAMES, frames - first))
            for first in range(0, frames, _BLOCK_FRAMES)
        ]
    )


def _content(
    audio: Floats, active: NDArray[np.bool_], encoder: ContentEncoder, path: Path, stop: Callable[[], bool]
) -> tuple[NDArray[np.float16], Moments]:
    """Content of the whole recording, and its moments where there is speech."""
    content = np.memmap(path, np.float16, "w+", shape=(len(active), encoder.dimension))
    moments = MomentsOfRows(encoder.dimension)
    row = 0
    for block in encoder.encode_blocks(audio):
        content[row : row + len(block)] = block
        moments.add(block[active[row : row + len(block)]])
        row += len(block)
        go_on_unless(stop)
    return content, moments.result()
