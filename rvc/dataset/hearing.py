"""One recording as all networks hear it: at 16 kHz, without rumble, at its level, and where it is speech."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rvc.architectures import FRAMES_PER_ROW, ROWS_PER_SECOND, Conventions
from rvc.audio import ANALYSIS_RATE_HERTZ, load_audio
from rvc.dataset.pieces import remove_rumble_causally
from rvc.dataset.recordings import Recording
from rvc.dataset.report import (
    RecordingReport,
    clipped_percent,
    noise_and_signal,
    pitch_range,
    silent_percent,
)
from rvc.dataset.slicing import slice_on_silence
from rvc.errors import InvalidAudio
from rvc.pitch import PitchExtractor
from rvc.signal import (
    ANALYSIS_HOP,
    Floats,
    frame_levels,
    gate_f0,
    level_gain,
    loud_level,
    remove_rumble,
)

SAMPLES_PER_ROW = ANALYSIS_RATE_HERTZ // ROWS_PER_SECOND
_SHORTEST_CLIP_ROWS = ROWS_PER_SECOND // 2
_HIGHEST_PEAK = 0.95
_FAINT_DECIBELS = -30.0
"""The slicer knows silence by its distance to full scale; recordings fainter than this are lifted for it, or
all of them would be silence."""


@dataclass(frozen=True)
class Heard:
    """A recording that can be used."""

    analysis: Floats
    """[samples] at 16 kHz."""
    gain: np.float32
    """From the recording to `analysis`."""
    clips: list[tuple[int, int]]
    """[start, end) of continuous speech, in rows."""
    levels: Floats
    """[frames] dB."""
    f0_hertz: Floats
    """[frames]."""
    report: RecordingReport

    @property
    def rows(self) -> int:
        """Rows of the whole recording."""
        return len(self.analysis) // SAMPLES_PER_ROW


def hear(recording: Recording, pitch: PitchExtractor, conventions: Conventions, speaker: str) -> Heard:
    """Level, pitch and clips of a recording. Raises InvalidAudio when it cannot be used."""
    audio = load_without_rumble(recording.path, ANALYSIS_RATE_HERTZ, conventions)
    gain = _gain(audio, conventions)
    analysis = gain * audio
    rows = len(analysis) // SAMPLES_PER_ROW
    found = _speech(analysis, rows)
    clips = [(start, end) for start, end in found if end - start >= _SHORTEST_CLIP_ROWS]
    if not clips:
        raise InvalidAudio(
            f"{recording.path.name}: no half second of speech in its "
            f"{len(analysis) / ANALYSIS_RATE_HERTZ:.2f} seconds; record more",
            reason="AudioTooShort",
        )
    frames = rows * FRAMES_PER_ROW
    levels = frame_levels(analysis, 0, frames)
    f0 = pitch(analysis)[:frames]
    gated = gate_f0(f0, levels)
    floor, ratio = noise_and_signal(frame_levels(audio, 0, frames))
    kept, speech = (_seconds(bounds) for bounds in (clips, found))
    seconds = round(len(analysis) / ANALYSIS_RATE_HERTZ, 2)
    report = RecordingReport(
        name=recording.name,
        speaker=speaker,
        seconds=seconds,
        kept_seconds=kept,
        dropped_seconds={
            reason: round(dropped, 2)
            for reason, dropped in (("Pause", seconds - speech), ("ClipTooShort", speech - kept))
            if dropped > 1 / ROWS_PER_SECOND
        },
        clipped_percent=clipped_percent(recording.path),
        silent_percent=silent_percent(levels),
        noise_floor_decibels=floor,
        signal_to_noise_decibels=ratio,
        pitch_hertz=pitch_range(gated),
    )
    return Heard(analysis, gain, clips, levels, gated if conventions.gates_f0 else f0, report)


def load_without_rumble(path: Path, sample_rate_hertz: int, conventions: Conventions) -> Floats:
    """A recording, filtered as the architecture's training wants it."""
    audio = load_audio(path, sample_rate_hertz)
    if not conventions.levels_speech:
        return remove_rumble_causally(audio, sample_rate_hertz)
    remove_rumble(audio, sample_rate_hertz)
    return audio


def _gain(audio: Floats, conventions: Conventions) -> np.float32:
    if conventions.levels_speech:
        return np.float32(level_gain(frame_levels(audio, 0, len(audio) // ANALYSIS_HOP + 1)))
    return np.float32(min(1.0, _HIGHEST_PEAK / float(np.abs(audio).max())))


def _speech(analysis: Floats, rows: int) -> list[tuple[int, int]]:
    levels = frame_levels(analysis, 0, len(analysis) // ANALYSIS_HOP + 1)
    lift = level_gain(levels) if loud_level(levels) < _FAINT_DECIBELS else 1.0
    return [
        (-(-start // SAMPLES_PER_ROW), min(end // SAMPLES_PER_ROW, rows))
        for start, end in slice_on_silence(np.float32(lift) * analysis, ANALYSIS_RATE_HERTZ)
    ]


def _seconds(bounds: list[tuple[int, int]]) -> float:
    return round(sum(end - start for start, end in bounds) / ROWS_PER_SECOND, 2)
