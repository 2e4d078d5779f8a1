"""What `Small` learns from: recordings of many voices on one timeline, and the teacher's rows beside them.

A folder is a corpus; its recordings, each brought to one level, are heard one after the other with a breath
between them. The teacher hears them so, too. Two things of its rows are taken away because they are not
content: what it says about the position inside its window, and the mean of the voice (of a folder that is
one voice).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from rvc.audio import load_audio
from rvc.content.small.network import DIMENSION, SAMPLE_RATE_HERTZ, SAMPLES_PER_ROW
from rvc.content.whisper import WhisperEncoder
from rvc.errors import InvalidDataset, RvcError

log = logging.getLogger(__name__)

_PAUSE_ROWS = 12
_LEVEL = 0.08
"""RMS of the louder half of a recording."""
_TEACHER_PERIOD_ROWS = 500
"""Distance of the teacher's windows: what it says about positions repeats so."""
_POSITION_SMOOTHING_ROWS = 4.0
_SHRINKAGE_ROWS = 1500
"""A voice of fewer rows keeps part of its mean, which tells as much of what was said as of who said it."""


@dataclass(frozen=True)
class Corpus:
    """One timeline of recordings, whole rows long."""

    name: str
    audio: np.ndarray
    """int16 [320 rows], at 16 kHz."""
    teacher: np.ndarray
    """float16 [rows, 512]: as the encoder gives them."""


@dataclass(frozen=True)
class Standard:
    """What is taken from the teacher's rows, and what they are divided by; of all corpora together."""

    position: np.ndarray
    """[500, 512]."""
    mean: np.ndarray
    """[512], as is the next."""
    deviation: np.ndarray

    def targets(self, corpus: Corpus) -> np.ndarray:
        """float16 [rows, 512]: the teacher's rows without position and voice, of unit variance."""
        rows = corpus.teacher.astype(np.float32) - self._positions(len(corpus.teacher)) - self.mean
        own = len(rows) / (len(rows) + _SHRINKAGE_ROWS)
        standardised = (rows - own * rows.mean(0)) / self.deviation
        return np.asarray(standardised.astype(np.float16))

    def _positions(self, rows: int) -> np.ndarray:
        return np.asarray(self.position[np.arange(rows) % _TEACHER_PERIOD_ROWS])


def measure_standard(corpora: Sequence[Corpus]) -> Standard:
    """Positions, mean and deviation over the rows of all these corpora."""
    sums = np.zeros((_TEACHER_PERIOD_ROWS, DIMENSION))
    windows = 0
    for corpus in corpora:
        whole = len(corpus.teacher) // _TEACHER_PERIOD_ROWS
        mean = corpus.teacher.mean(0, dtype=np.float32)
        for window in range(1, whole):  # the first has nothing before it: its positions are others
            start = window * _TEACHER_PERIOD_ROWS
            sums += corpus.teacher[start : start + _TEACHER_PERIOD_ROWS] - mean
            windows += 1
    position = _smooth_around(sums / max(windows, 1))
    rows_in_all = sum(len(corpus.teacher) for corpus in corpora)
    mean = sum(corpus.teacher.sum(0, dtype=np.float64) for corpus in corpora) / rows_in_all
    standard = Standard(position.astype(np.float32), mean.astype(np.float32), np.ones(DIMENSION, np.float32))
    squares = sum(np.square(standard.targets(each), dtype=np.float32).sum(0) for each in corpora)
    return Standard(standard.position, standard.mean, np.sqrt(squares / rows_in_all))


def _smooth_around(pattern: np.ndarray) -> np.ndarray:
    """A Gaussian over a pattern that repeats."""
    frequencies = np.fft.rfftfreq(len(pattern))[:, None]
    gain = np.exp(-0.5 * (2 * np.pi * frequencies * _POSITION_SMOOTHING_ROWS) ** 2)
    return np.fft.irfft(np.fft.rfft(pattern, axis=0) * gain, len(pattern), axis=0)


def load_corpus(folder: Path, encoder: WhisperEncoder, cache: Path) -> Corpus:
    """The recordings of a folder with the teacher's rows, which are kept in `cache` for the next time.

    Raises `InvalidDataset` when nothing in the folder can be read.
    """
    kept = cache / f"{folder.name}.npz"
    if kept.exists():
        with np.load(kept) as arrays:
            return Corpus(folder.name, arrays["audio"], arrays["teacher"])
    audio = _timeline(folder)
    with torch.autocast("cpu", torch.bfloat16):
        teacher = encoder(audio.astype(np.float32) / 32768.0).astype(np.float16)
    cache.mkdir(parents=True, exist_ok=True)
    np.savez(kept, audio=audio, teacher=teacher)
    log.info("%s: %.1f minutes", folder.name, len(teacher) / 3000)
    return Corpus(folder.name, audio, teacher)


def _timeline(folder: Path) -> np.ndarray:
    parts = []
    for path in sorted(folder.iterdir()):
        try:
            audio = load_audio(path, SAMPLE_RATE_HERTZ)
        except RvcError as error:
            log.warning("left out: %s", error)
            continue
        frames = audio[: len(audio) // SAMPLES_PER_ROW * SAMPLES_PER_ROW].reshape(-1, SAMPLES_PER_ROW)
        louder_half = np.sort(np.square(frames).mean(1))[len(frames) // 2 :]
        if louder_half.sum() == 0.0:
            continue
        levelled = np.clip(audio * (_LEVEL / np.sqrt(louder_half.mean())), -1.0, 1.0)
        rows = -(-len(levelled) // SAMPLES_PER_ROW) + _PAUSE_ROWS
        part = np.zeros(rows * SAMPLES_PER_ROW, np.int16)
        part[: len(levelled)] = (levelled * 32767.0).astype(np.int16)
        parts.append(part)
    if not parts:
        raise InvalidDataset(f"{folder} holds no recording that can be read; name folders of recordings")
    return np.concatenate(parts)
