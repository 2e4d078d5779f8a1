"""What conversion must know of a whole recording before it can synthesize any part of it.

Pitch, voicing and loudness are kept in memory (a megabyte an hour and feature); samples and content, which
are large, in files of a scratch folder, mapped.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rvc.architectures import FRAMES_PER_ROW, FRAMES_PER_SECOND
from rvc.audio import ANALYSIS_RATE_HERTZ, SpooledAudio
from rvc.content import ContentEncoder
from rvc.pitch import PitchExtractor
from rvc.signal import (
    ANALYSIS_HOP,
    Floats,
    Moments,
    MomentsOfRows,
    active_frames,
    frame_levels,
    gate_f0,
    interpolate_unvoiced,
    level_gain,
    median_filter_f0,
    remove_rumble,
)

_BLOCK_FRAMES = 2000
_HIGHEST_PEAK = 0.95
"""Of a source whose loudness is imposed on the sound; that of a louder one is turned down."""


@dataclass(frozen=True)
class Source:
    """A recording, analysed. `frames` is even and covers the whole recording."""

    frames: int
    audio: Floats
    """[frames * 160] at 16 kHz without rumble, at the level of analysis, zeros after the end."""
    loudness_gain: float
    """Factor from `audio` to the loudness to impose: the recording's own, but within full scale."""
    f0_hertz: Floats
    """[frames], transposed, interpolated where unvoiced."""
    voiced: NDArray[np.bool_]
    levels: Floats
    """[frames] dB."""
    level_moments: Moments
    content: NDArray[np.float16]
    """[frames / 2, dimension] as the encoder gave it."""
    content_moments: Moments

    @property
    def median_f0_hertz(self) -> float:
        """Of the voiced frames, after transposition; 0 if there are none."""
        voiced = self.f0_hertz[self.voiced]
        return round(float(np.median(voiced)), 1) if len(voiced) else 0.0


def analyse(
    spool: SpooledAudio,
    scratch: Path,
    encoder: ContentEncoder,
    pitch: PitchExtractor,
    *,
    transpose_semitones: int,
    filter_radius: int,
) -> Source:
    """Analyse a recording of any length; files in `scratch` live as long as the result is used."""
    frames = -(-spool.source_frames * FRAMES_PER_SECOND // spool.source_rate_hertz)
    frames += frames % FRAMES_PER_ROW
    audio = _without_rumble(spool.samples, frames * ANALYSIS_HOP, scratch / "analysis.f32")
    loudness_gain = _bring_to_speech_level(audio)
    levels = _levels(audio)
    active = active_frames(levels)
    heard = median_filter_f0(gate_f0(pitch(audio)[:frames], levels), filter_radius)
    f0 = interpolate_unvoiced(heard) * np.float32(2 ** (transpose_semitones / 12))
    of_levels = MomentsOfRows(1)
    of_levels.add(levels[active, None])
    content, content_moments = _content(audio, active[::FRAMES_PER_ROW], encoder, scratch / "content.f16")
    return Source(
        frames=frames,
        audio=audio,
        loudness_gain=loudness_gain,
        f0_hertz=f0,
        voiced=heard > 0,
        levels=levels,
        level_moments=of_levels.result(),
        content=content,
        content_moments=content_moments,
    )


def _without_rumble(samples: Floats, length: int, path: Path) -> Floats:
    audio = np.memmap(path, np.float32, "w+", shape=(length,))
    given = min(length, len(samples))
    audio[:given] = samples[:given]
    remove_rumble(audio[:given], ANALYSIS_RATE_HERTZ)
    return audio


def _bring_to_speech_level(audio: Floats) -> float:
    """Amplify in place, as training does; returns the factor back to a loudness within full scale."""
    gain = level_gain(_levels(audio))
    peak = 0.0
    for start in range(0, len(audio), _BLOCK_FRAMES * ANALYSIS_HOP):
        block = audio[start : start + _BLOCK_FRAMES * ANALYSIS_HOP]
        peak = max(peak, float(np.abs(block).max()))
        block *= np.float32(gain)
    return min(1.0, _HIGHEST_PEAK / peak) / gain if peak else 1.0


def _levels(audio: Floats) -> Floats:
    frames = len(audio) // ANALYSIS_HOP
    return np.concatenate(
        [
            frame_levels(audio, first, min(_BLOCK_FRAMES, frames - first))
            for first in range(0, frames, _BLOCK_FRAMES)
        ]
    )


def _content(
    audio: Floats, active: NDArray[np.bool_], encoder: ContentEncoder, path: Path
) -> tuple[NDArray[np.float16], Moments]:
    """Content of the whole recording, and its moments where there is speech."""
    content = np.memmap(path, np.float16, "w+", shape=(len(active), encoder.dimension))
    moments = MomentsOfRows(encoder.dimension)
    row = 0
    for block in encoder.encode_blocks(audio):
        content[row : row + len(block)] = block
        moments.add(block[active[row : row + len(block)]])
        row += len(block)
    return content, moments.result()
