"""How well the student agrees with its teacher on voices that it never heard.

Rows are compared as conversion uses them: standardised per voice. Beside their likeness counts what
retrieval makes of them: whether the row of another voice that the student finds nearest is one that the
teacher calls near.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from rvc.content.small.network import (
    FFT_SIZE,
    SAMPLES_PER_ROW,
    SmallNetwork,
    log_mel,
    mel_filters,
    power_spectrum,
)

_NEIGHBOURS = 8
_MOST_ROWS = 3200
_WINDOW_ROWS = 400


@dataclass(frozen=True)
class Timeline:
    """A corpus with what is to be said of it."""

    name: str
    audio: np.ndarray
    """int16 [320 rows], at 16 kHz."""
    targets: np.ndarray
    """float16 [rows, 512]: the teacher's rows, standardised."""


def agreement(network: SmallNetwork, held_out: Sequence[Timeline]) -> Iterator[str]:
    """A line for every corpus; retrieval is from the first corpus, and of the first from the last."""
    student = [_standardise(heard(network, each)) for each in held_out]
    teacher = [
        _standardise(torch.from_numpy(each.targets[: len(rows)]).float())
        for each, rows in zip(held_out, student, strict=True)
    ]
    for number, timeline in enumerate(held_out):
        bank = 0 if number else len(held_out) - 1
        cosine = F.cosine_similarity(student[number], teacher[number], dim=-1).mean()
        explained = (student[number] * teacher[number]).mean(0).square().mean()
        found = _mean_likeness(teacher, student, number, bank)
        best = _mean_likeness(teacher, teacher, number, bank)
        yield (
            f"{timeline.name}: cosine {cosine:.3f}, R2 {explained:.3f}; neighbours in "
            f"{held_out[bank].name}: {found:.3f} of the teacher's {best:.3f}"
        )


@torch.inference_mode()
def heard(network: SmallNetwork, timeline: Timeline) -> torch.Tensor:
    """The network's rows of the first minute, in windows of eight seconds: [rows, 512]."""
    window, filters = torch.hann_window(FFT_SIZE), mel_filters()
    margin = np.zeros(FFT_SIZE // 2, np.float32)
    audio = timeline.audio.astype(np.float32) / 32768.0
    windows = []
    for start in range(0, min(len(timeline.targets), _MOST_ROWS), _WINDOW_ROWS):
        cut = audio[start * SAMPLES_PER_ROW : (start + _WINDOW_ROWS) * SAMPLES_PER_ROW]
        samples = torch.from_numpy(np.concatenate([margin, cut, margin]))
        power = power_spectrum(samples, window)[:, :-1]
        windows.append(network(log_mel(power, filters)[None])[0])
    return torch.cat(windows)


def _standardise(rows: torch.Tensor) -> torch.Tensor:
    return (rows - rows.mean(0)) / rows.std(0, correction=0)


def _mean_likeness(
    judged: Sequence[torch.Tensor], searched: Sequence[torch.Tensor], queries: int, bank: int
) -> float:
    """Cosine, by the rows judged, of a row and the mean of those found nearest among the rows searched."""
    nearest = (
        (F.normalize(searched[queries], dim=-1) @ F.normalize(searched[bank], dim=-1).T)
        .topk(_NEIGHBOURS, 1)
        .indices
    )
    found = judged[bank][nearest].mean(1)
    return float(F.cosine_similarity(judged[queries], found, dim=-1).mean())
