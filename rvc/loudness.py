"""Loudness of the source on the converted sound, as RVC mixes it, in a stream.

Both are measured as RMS over one second, every half second, and drawn as straight lines over the whole
length. With mixing rate `r` the sound is multiplied by `source^(1 - r) * sound^(r - 1)`: 0 imposes the
loudness of the source, 1 keeps the sound's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_QUIETEST_RMS = 1e-6
_CELLS_AHEAD = 2
"""Half seconds of sound that must be known beyond the one that is given out."""


def rms_every_half_second(audio: Floats, sample_rate_hertz: int) -> NDArray[np.float64]:
    """RMS of the second around each half second, zeros beyond both ends, [samples // half a second + 1]."""
    half = sample_rate_hertz // 2
    energies = [_energy(audio[start : start + half]) for start in range(0, len(audio), half)]
    padded = np.array([0.0, *energies, 0.0])
    rms: NDArray[np.float64] = np.sqrt((padded[1:] + padded[:-1]) / (2 * half))
    return rms[: len(audio) // half + 1]


def mix_loudness(
    blocks: Iterable[Floats],
    samples: int,
    sample_rate_hertz: int,
    source_rms: NDArray[np.float64],
    mix_rate: float,
) -> Iterator[Floats]:
    """The sound in `blocks` (`samples` in all) with the loudness mixed; other block sizes, same samples."""
    half = sample_rate_hertz // 2
    frames = samples // half + 1
    rms: list[float] = []
    pending: list[Floats] = []
    before = 0.0
    given = 0

    def give() -> Floats:
        position = given + np.arange(len(pending[0])) + 0.5
        own = np.maximum(_line(rms, position * frames / samples), _QUIETEST_RMS)
        source = _line(source_rms, position * len(source_rms) / samples)
        return np.asarray(pending[0] * source ** (1 - mix_rate) * own ** (mix_rate - 1), dtype=np.float32)

    for cell in _cells(blocks, half):
        energy = _energy(cell)
        rms.append(float(np.sqrt((before + energy) / (2 * half))))
        before = energy
        pending.append(cell)
        if len(pending) > _CELLS_AHEAD:
            yield give()
            given += len(pending.pop(0))
    rms.append(float(np.sqrt(before / (2 * half))))
    del rms[frames:]
    while pending:
        yield give()
        given += len(pending.pop(0))


def _cells(blocks: Iterable[Floats], size: int) -> Iterator[Floats]:
    """The same samples in blocks of `size`, the last one as long as it comes."""
    rest = np.zeros(0, np.float32)
    for block in blocks:
        rest = np.concatenate([rest, block])
        whole = len(rest) // size * size
        yield from (rest[start : start + size] for start in range(0, whole, size))
        rest = rest[whole:]
    if len(rest):
        yield rest


def _energy(samples: Floats) -> float:
    return float(np.sum(np.square(samples, dtype=np.float64)))


def _line(
    values: Sequence[float] | NDArray[np.float64], position: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Straight lines between the values, each in the middle of its share of the length."""
    first = max(0, int(position[0] - 0.5))
    near = values[first : int(position[-1] - 0.5) + 2]
    return np.interp(position - 0.5, first + np.arange(len(near)), near)
