"""The features of recordings: level, pitch, content and sound of the speech in them, without its long pauses.

Features of a recording are kept in the work folder under a digest of all they depend on; an attempt that
starts again finds them there, or has them brought there by a `FeatureKeeper`. Whole recordings go through the
networks, and the pauses are cut from the results, so that no clip begins without its past.

What the networks heard is one file, the sound another beside it: it is three quarters of the bytes and made
again from the recording in no time, so it is not worth being kept elsewhere.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from rvc.architectures import FRAMES_PER_ROW, ROWS_PER_SECOND, Conventions
from rvc.content import ContentEncoder
from rvc.dataset.hearing import Heard, hear, load_without_rumble
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
            self.content.name,
            self.content.digest,
            self.pitch.name,
            self.pitch.digest,
            self.sample_rate_hertz,
            self.conventions.levels_speech,
            self.conventions.gates_f0,
        )
        return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()


class FeatureKeeper(Protocol):
    """Where features wait for an attempt on another machine. What it does not have is made again."""

    def bring(self, folder: Path) -> None:
        """Put the files that earlier attempts kept into a folder."""

    def keep(self, path: Path) -> None:
        """Keep such a file, perhaps together with the next ones."""

    def finish(self) -> None:
        """There are no more."""


@dataclass(frozen=True)
class Features:
    """Clips of one recording, end to end."""

    content: NDArray[np.float16]
    """[rows, dimension]."""
    f0_hertz: Floats
    """[frames], as are the levels."""
    levels: Floats
    clip_rows: NDArray[np.int64]
    """[clips + 1]: bounds of the clips."""
    audio: Floats
    """[samples] at the voice's rate, mapped."""

    @classmethod
    def read(cls, path: Path) -> Features:
        """Features that `extracted` wrote."""
        with np.load(path, allow_pickle=False) as found:
            heard = {name: found[name] for name in ("content", "f0_hertz", "levels", "clip_rows")}
        return cls(**heard, audio=np.load(_sound_path(path), mmap_mode="r"))


def extracted(
    recording: Recording, extractor: Extractor, cache: Path, speaker: str, keeper: FeatureKeeper | None = None
) -> tuple[Path, RecordingReport]:
    """The file of a recording's features, made if it is not in the cache, and what there is to say of it.

    Raises InvalidAudio for a recording that cannot be used.
    """
    path = cache / f"{extractor.key(recording)}.npz"
    found = _found(path)
    if found is None:
        heard = hear(recording, extractor.pitch, extractor.conventions, speaker)
        arrays = _heard_arrays(heard, extractor)
        _write(path, lambda file: np.savez(file, **arrays))
        if keeper is not None:
            keeper.keep(path)
        found = _Found(heard.report, arrays["clips"], heard.gain)
    if not _has_sound(_sound_path(path), found, extractor):
        sound = _sound(recording.path, extractor, found)
        _write(_sound_path(path), lambda file: np.save(file, sound))
    return path, msgspec.structs.replace(found.report, name=recording.name, speaker=speaker)


class _Found(NamedTuple):
    """What there is of a recording but its sound."""

    report: RecordingReport
    clips: NDArray[np.int64]
    """[clips, 2]: bounds in rows of the recording."""
    gain: np.float32


def _found(path: Path) -> _Found | None:
    """In a file of the cache; None where it is not there, damaged, or another release's."""
    try:
        with np.load(path, allow_pickle=False) as found:
            report = msgspec.json.decode(found["report"].tobytes(), type=RecordingReport)
            return _Found(report, found["clips"], found["gain"][()])
    except (FileNotFoundError, zipfile.BadZipFile, ValueError, KeyError, EOFError):
        return None


def _heard_arrays(heard: Heard, extractor: Extractor) -> dict[str, Any]:
    content = extractor.content(heard.analysis)
    return {
        "content": _clips_of(content, heard.clips, 1).astype(np.float16),
        "f0_hertz": _clips_of(heard.f0_hertz, heard.clips, FRAMES_PER_ROW).astype(np.float32),
        "levels": _clips_of(heard.levels, heard.clips, FRAMES_PER_ROW).astype(np.float32),
        "clip_rows": np.cumsum([0] + [end - start for start, end in heard.clips]),
        "clips": np.array(heard.clips),
        "gain": np.array(heard.gain),
        "report": np.frombuffer(msgspec.json.encode(heard.report), np.uint8),
    }


def _sound(path: Path, extractor: Extractor, found: _Found) -> Floats:
    """The clips at the voice's rate, end to end."""
    rate = extractor.sample_rate_hertz
    samples_per_row = rate // ROWS_PER_SECOND
    audio = load_without_rumble(path, rate, extractor.conventions)
    missing = int(found.clips[-1, 1]) * samples_per_row - len(audio)
    audio = np.pad(found.gain * audio, (0, max(0, missing)))
    return _clips_of(audio, found.clips, samples_per_row).astype(np.float32)


def _has_sound(path: Path, found: _Found, extractor: Extractor) -> bool:
    try:
        samples = len(np.load(path, mmap_mode="r"))
    except (FileNotFoundError, ValueError, EOFError):
        return False
    rows = int(np.diff(found.clips).sum())
    return samples == rows * extractor.sample_rate_hertz // ROWS_PER_SECOND


def _clips_of(
    array: NDArray[Any], clips: Sequence[tuple[int, int]] | NDArray[np.int64], per_row: int
) -> NDArray[Any]:
    return np.concatenate([array[start * per_row : end * per_row] for start, end in clips])


def _sound_path(path: Path) -> Path:
    return path.with_suffix(".npy")


def _write(path: Path, save: Callable[[IO[bytes]], None]) -> None:
    """Write a file, whole or not at all."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".partial")
    try:
        with os.fdopen(handle, "wb") as file:
            save(file)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
