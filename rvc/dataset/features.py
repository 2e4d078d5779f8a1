"""The features of recordings: level, pitch, content and sound of the speech in them, without its long pauses.

Features of a recording are kept in the work folder under a digest of all they depend on; an attempt that
starts again finds them there. Whole recordings go through the networks, and the pauses are cut from the
results, so that no clip begins without its past.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from rvc.architectures import FRAMES_PER_ROW, ROWS_PER_SECOND, Conventions
from rvc.content import ContentEncoder
from rvc.dataset.hearing import hear, load_without_rumble
from rvc.dataset.recordings import Recording
from rvc.dataset.report import RecordingReport
from rvc.pitch import PitchExtractor
from rvc.signal import Floats

FORMAT = 2
"""Raise it when the same inputs would give other features."""


@dataclass(frozen=True)
class Extractor:
    """The networks, the rate and the conventions that features are made with."""

    content: ContentEncoder
    pitch: PitchExtractor
    sample_rate_hertz: int
    conventions: Conventions

    def key(self, recording: Recording) -> str:
        """Name for the features of a recording: changes with everything that they depend on."""
        parts = (
            FORMAT,
            recording.digest,
            self.content.digest,
            self.pitch.name,
            self.pitch.digest,
            self.sample_rate_hertz,
            self.conventions.levels_speech,
            self.conventions.gates_f0,
        )
        return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()


@dataclass(frozen=True)
class Features:
    """Clips of one recording, end to end."""

    content: NDArray[np.float16]
    """[rows, dimension]."""
    f0_hertz: Floats
    """[frames], as are the levels."""
    levels: Floats
    audio: Floats
    """[samples] at the voice's rate."""
    clip_rows: NDArray[np.int64]
    """[clips + 1]: bounds of the clips."""

    @classmethod
    def read(cls, path: Path) -> Features:
        """Features that `extracted` wrote."""
        with np.load(path, allow_pickle=False) as found:
            return cls(*(found[name] for name in cls.__dataclass_fields__))


def extracted(
    recording: Recording, extractor: Extractor, cache: Path, speaker: str
) -> tuple[Path, RecordingReport]:
    """The file of a recording's features, made if it is not in the cache, and what there is to say of it.

    Raises InvalidAudio for a recording that cannot be used.
    """
    path = cache / f"{extractor.key(recording)}.npz"
    try:
        with np.load(path, allow_pickle=False) as found:
            report = msgspec.json.decode(found["report"].tobytes(), type=RecordingReport)
        return path, msgspec.structs.replace(report, name=recording.name, speaker=speaker)
    except (FileNotFoundError, zipfile.BadZipFile, ValueError, KeyError, EOFError):
        features, report = _extract(recording, extractor, speaker)
    text = np.frombuffer(msgspec.json.encode(report), np.uint8)
    handle, temporary = tempfile.mkstemp(dir=cache, suffix=".partial")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, **vars(features), report=text)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return path, report


def _extract(recording: Recording, extractor: Extractor, speaker: str) -> tuple[Features, RecordingReport]:
    heard = hear(recording, extractor.pitch, extractor.conventions, speaker)
    rate = extractor.sample_rate_hertz
    samples_per_row = rate // ROWS_PER_SECOND
    audio = load_without_rumble(recording.path, rate, extractor.conventions)
    audio = np.pad(heard.gain * audio, (0, max(0, heard.rows * samples_per_row - len(audio))))
    content = extractor.content(heard.analysis)

    def cut(array: NDArray[np.floating], per_row: int) -> NDArray[np.floating]:
        return np.concatenate([array[start * per_row : end * per_row] for start, end in heard.clips])

    features = Features(
        content=cut(content, 1).astype(np.float16),
        f0_hertz=cut(heard.f0_hertz, FRAMES_PER_ROW).astype(np.float32),
        levels=cut(heard.levels, FRAMES_PER_ROW).astype(np.float32),
        audio=cut(audio, samples_per_row).astype(np.float32),
        clip_rows=np.cumsum([0] + [end - start for start, end in heard.clips]),
    )
    return features, heard.report
