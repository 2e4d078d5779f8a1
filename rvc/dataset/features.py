"""From the recordings of a dataset to a `TrainingSet`: level, pitch, content, speech without its long pauses.

Features of a recording are kept in the work folder under a digest of all they depend on; an attempt that
starts again finds them there. Whole recordings go through the networks, and the pauses are cut from the
results, so that no clip begins without its past.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rvc.architectures import FRAMES_PER_ROW, ROWS_PER_SECOND, Conventions, TrainingSet
from rvc.audio import ANALYSIS_RATE_HERTZ, load_audio
from rvc.content import ContentEncoder
from rvc.dataset.recordings import Recording, Refusal, dataset_digest, require_enough
from rvc.dataset.slicing import slice_on_silence
from rvc.errors import InvalidAudio
from rvc.pitch import PitchExtractor
from rvc.signal import (
    ANALYSIS_HOP,
    Floats,
    Moments,
    MomentsOfRows,
    active_frames,
    frame_levels,
    gate_f0,
    level_gain,
    remove_rumble,
)

_FORMAT = 1
"""Raise it when the same inputs would give other features."""
_SAMPLES_PER_ROW = ANALYSIS_RATE_HERTZ // ROWS_PER_SECOND
_SHORTEST_CLIP_ROWS = ROWS_PER_SECOND // 2


@dataclass(frozen=True)
class Extractor:
    """The networks and the rate that features are made with."""

    content: ContentEncoder
    pitch: PitchExtractor
    sample_rate_hertz: int

    def key(self, recording: Recording) -> str:
        """Name for the features of a recording: changes with everything that they depend on."""
        parts = (_FORMAT, recording.digest, self.content.digest, self.pitch.name, self.sample_rate_hertz)
        return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()


@dataclass(frozen=True)
class PreparedDataset:
    """What training needs, and what the voice's manifest tells about it."""

    training_set: TrainingSet
    content_moments: Moments
    """Of the speaker's content before it was standardized."""
    level_moments: Moments
    """Of the speaker's level in dB."""
    recordings: int
    refusals: tuple[Refusal, ...]


@dataclass(frozen=True)
class _Features:
    """Clips of one recording, end to end."""

    content: NDArray[np.float16]
    f0_hertz: Floats
    levels: Floats
    audio: Floats
    clip_rows: NDArray[np.int64]


def prepare_training_set(
    recordings: Sequence[Recording],
    extractor: Extractor,
    work_folder: Path,
    *,
    conventions: Conventions,
    on_recording: Callable[[int], None],
) -> PreparedDataset:
    """Extract (or find again) the features of all recordings and join them.

    `on_recording(n)` is called after each recording and may raise to stop. Raises InvalidDataset when less
    than ten seconds of speech are left; recordings that cannot be used are in the result's `refusals`.
    """
    cache = work_folder / "features"
    cache.mkdir(parents=True, exist_ok=True)
    usable: list[Path] = []
    refusals: list[Refusal] = []
    rows = 0
    for number, recording in enumerate(recordings, 1):
        path = cache / f"{extractor.key(recording)}.npz"
        try:
            rows += _clip_rows(path) or _extract_to(path, recording, extractor)
            usable.append(path)
        except InvalidAudio as error:
            refusals.append(Refusal(recording.name, error.reason, str(error)))
        on_recording(number)
    require_enough(rows / ROWS_PER_SECOND, len(recordings), refusals)
    digest = dataset_digest(recordings)
    training_set, content, level = _join(
        usable, rows, extractor.sample_rate_hertz, work_folder, conventions.standardizes_content, digest
    )
    return PreparedDataset(training_set, content, level, len(recordings), tuple(refusals))


def _extract_to(path: Path, recording: Recording, extractor: Extractor) -> int:
    features = _extract(recording.path, extractor)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".partial")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, **vars(features))
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return len(features.content)


def _clip_rows(path: Path) -> int:
    """Rows of cached features; 0 if there are none, or none that can be read."""
    try:
        with np.load(path) as features:
            return int(features["clip_rows"][-1])
    except (FileNotFoundError, zipfile.BadZipFile, ValueError, KeyError, EOFError):
        return 0


def _extract(path: Path, extractor: Extractor) -> _Features:
    """Features of one recording without its pauses. Raises InvalidAudio when nothing is left."""
    analysis, audio = _at_speech_level(path, extractor.sample_rate_hertz)
    rows = len(analysis) // _SAMPLES_PER_ROW
    clips = [
        (-(-start // _SAMPLES_PER_ROW), min(end // _SAMPLES_PER_ROW, rows))
        for start, end in slice_on_silence(analysis, ANALYSIS_RATE_HERTZ)
    ]
    clips = [(start, end) for start, end in clips if end - start >= _SHORTEST_CLIP_ROWS]
    if not clips:
        seconds = len(analysis) / ANALYSIS_RATE_HERTZ
        raise InvalidAudio(
            f"{path.name}: no half second of speech in its {seconds:.2f} seconds; record more",
            reason="AudioTooShort",
        )
    frames = rows * FRAMES_PER_ROW
    levels = frame_levels(analysis, 0, frames)
    f0 = gate_f0(extractor.pitch(analysis)[:frames], levels)
    content = extractor.content(analysis)

    def cut(array: NDArray[np.floating], per_row: int) -> NDArray[np.floating]:
        return np.concatenate([array[start * per_row : end * per_row] for start, end in clips])

    return _Features(
        content=cut(content, 1).astype(np.float16),
        f0_hertz=cut(f0, FRAMES_PER_ROW).astype(np.float32),
        levels=cut(levels, FRAMES_PER_ROW).astype(np.float32),
        audio=cut(audio, extractor.sample_rate_hertz // ROWS_PER_SECOND).astype(np.float32),
        clip_rows=np.cumsum([0] + [end - start for start, end in clips]),
    )


def _at_speech_level(path: Path, sample_rate_hertz: int) -> tuple[Floats, Floats]:
    """A recording at the analysis rate and at the voice's, without rumble, both with the same gain."""
    analysis = load_audio(path, ANALYSIS_RATE_HERTZ)
    audio = load_audio(path, sample_rate_hertz)
    remove_rumble(analysis, ANALYSIS_RATE_HERTZ)
    remove_rumble(audio, sample_rate_hertz)
    gain = level_gain(frame_levels(analysis, 0, len(analysis) // ANALYSIS_HOP + 1))
    rows = len(analysis) // _SAMPLES_PER_ROW
    missing = rows * sample_rate_hertz // ROWS_PER_SECOND - len(audio)
    return np.float32(gain) * analysis, np.pad(np.float32(gain) * audio, (0, max(0, missing)))


def _join(
    paths: Sequence[Path], rows: int, rate: int, work_folder: Path, standardize: bool, digest: str
) -> tuple[TrainingSet, Moments, Moments]:
    """One timeline of all features, the moments of its content and of its level. Audio is mapped from disk:
    it is most of the bytes."""
    samples_per_row = rate // ROWS_PER_SECOND
    audio = np.lib.format.open_memmap(
        work_folder / "audio.npy", mode="w+", dtype=np.float32, shape=(rows * samples_per_row,)
    )
    content, f0, levels, clip_rows = [], [], [], [np.zeros(1, np.int64)]
    row = 0
    for path in paths:
        with np.load(path) as features:
            content.append(features["content"])
            f0.append(features["f0_hertz"])
            levels.append(features["levels"])
            audio[row * samples_per_row :][: len(features["audio"])] = features["audio"]
            clip_rows.append(features["clip_rows"][1:] + row)
        row += len(content[-1])
    joined, moments, level = np.concatenate(content), *_moments(content, levels)
    if standardize:
        for start in range(0, rows, 4096):
            joined[start : start + 4096] = moments.standardize(joined[start : start + 4096])
    training_set = TrainingSet(
        sample_rate_hertz=rate,
        content=joined,
        f0_hertz=np.concatenate(f0),
        loudness=level.standardize(np.concatenate(levels)[:, None])[:, 0],
        audio=audio,
        clip_rows=(bounds := np.concatenate(clip_rows)),
        clip_speakers=np.zeros(len(bounds) - 1, np.int64),
        speakers=1,
        digest=digest,
    )
    return training_set, moments, level


def _moments(content: list[NDArray[np.float16]], levels: list[Floats]) -> tuple[Moments, Moments]:
    """(of content rows, of levels) where there is speech, not room."""
    of_content, of_level = MomentsOfRows(content[0].shape[1]), MomentsOfRows(1)
    for rows, frames in zip(content, levels, strict=True):
        active = active_frames(frames)
        of_content.add(rows[active[::FRAMES_PER_ROW]])
        of_level.add(frames[active, None])
    return of_content.result(), of_level.result()
