"""Clips of many recordings joined end to end: a `TrainingSet`.

Where an architecture learns from recordings as they are, two pieces of digital silence for each speaker
follow, as in the original RVC (facts 3.6), from which the voice learns to be silent. Where speech is levelled
there is no digital silence to meet later.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rvc.architectures import FRAMES_PER_ROW, ROWS_PER_SECOND, TrainingSet
from rvc.dataset.features import Features
from rvc.signal import Floats, Moments, MomentsOfRows, active_frames, frame_levels

SILENT_SECONDS = 3
_SILENT_PIECES = 2
_STANDARDIZED_AT_ONCE = 4096


@dataclass(frozen=True)
class Part:
    """One recording of a timeline."""

    path: Path
    """File of its features."""
    clip_rows: NDArray[np.int64]
    """[clips + 1]: the clips to take, from the first."""
    speaker: int

    def first_seconds(self, seconds: float) -> Part:
        """Its first clips: at least one, no more than so many seconds if there are more."""
        within = int(np.flatnonzero(self.clip_rows <= seconds * ROWS_PER_SECOND)[-1])
        return Part(self.path, self.clip_rows[: max(1, within) + 1], self.speaker)


@dataclass(frozen=True)
class Recipe:
    """How a timeline is made of its parts."""

    sample_rate_hertz: int
    speakers: int
    digest: str
    content_moments: Moments | None
    """To standardize content by; None leaves it as it is."""
    level_moments: Moments
    silence: NDArray[np.float16] | None
    """Content rows of three seconds of digital silence, to be learnt, too."""


_Block = tuple[NDArray[np.float16], Floats, Floats]
"""Content, F0 and levels."""


def moments_of(parts: Sequence[Part]) -> tuple[Moments, Moments]:
    """(of content rows, of levels) where there is speech, not room."""
    of_content: MomentsOfRows | None = None
    of_level = MomentsOfRows(1)
    for part in parts:
        features = Features.read(part.path)
        active = active_frames(features.levels)
        of_content = of_content or MomentsOfRows(features.content.shape[1])
        of_content.add(features.content[active[::FRAMES_PER_ROW]])
        of_level.add(features.levels[active, None])
    assert of_content is not None
    return of_content.result(), of_level.result()


def join(parts: Sequence[Part], recipe: Recipe, audio_path: Path, *, write: bool) -> TrainingSet:
    """All clips of the parts, then the silence; audio in a file that is mapped: it is most of the bytes.

    Without `write` another process has written the file.
    """
    lengths = [length for part in parts for length in np.diff(part.clip_rows).tolist()]
    owners = [part.speaker for part in parts for _ in part.clip_rows[1:]]
    silence: list[_Block] = []
    if recipe.silence is not None:
        owners += [speaker for speaker in range(recipe.speakers) for _ in range(_SILENT_PIECES)]
        silence = [_silence(recipe.silence)] * (_SILENT_PIECES * recipe.speakers)
        lengths += [len(recipe.silence)] * len(silence)
    rows = sum(lengths)
    audio = _audio_file(audio_path, rows * recipe.sample_rate_hertz // ROWS_PER_SECOND, write)
    blocks = [*_recorded(parts, audio, recipe.sample_rate_hertz // ROWS_PER_SECOND, write), *silence]
    content, f0, levels = (np.concatenate(arrays) for arrays in zip(*blocks, strict=True))
    if recipe.content_moments is not None:
        for start in range(0, rows, _STANDARDIZED_AT_ONCE):
            some = slice(start, start + _STANDARDIZED_AT_ONCE)
            content[some] = recipe.content_moments.standardize(content[some])
    return TrainingSet(
        sample_rate_hertz=recipe.sample_rate_hertz,
        content=content,
        f0_hertz=f0,
        loudness=recipe.level_moments.standardize(levels[:, None])[:, 0],
        audio=audio,
        clip_rows=np.cumsum([0, *lengths]),
        clip_speakers=np.array(owners, np.int64),
        speakers=recipe.speakers,
        digest=recipe.digest,
    )


def _audio_file(path: Path, samples: int, write: bool) -> Floats:
    if not write:
        found: Floats = np.load(path, mmap_mode="r")
        return found
    return np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(samples,))


def _recorded(parts: Sequence[Part], audio: Floats, samples_per_row: int, write: bool) -> Iterator[_Block]:
    """The features of all parts; their audio is written into the file on the way."""
    sample = 0
    for part in parts:
        features = Features.read(part.path)
        rows = int(part.clip_rows[-1])
        if write:
            audio[sample : sample + rows * samples_per_row] = features.audio[: rows * samples_per_row]
        sample += rows * samples_per_row
        frames = slice(rows * FRAMES_PER_ROW)
        yield features.content[:rows], features.f0_hertz[frames], features.levels[frames]


def _silence(content: NDArray[np.float16]) -> _Block:
    frames = len(content) * FRAMES_PER_ROW
    return content, np.zeros(frames, np.float32), frame_levels(np.zeros(0, np.float32), 0, frames)
