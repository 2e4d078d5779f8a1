"""What a comparison with the original found: numbers and their tolerances, or a difference that is meant."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Finding:
    """One quantity, ours against the original's."""

    name: str
    difference: float
    """In the unit of `tolerance`; NaN when the two cannot be compared, which is a failure."""
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether ours is the original's, as far as arithmetic goes."""
        return self.difference <= self.tolerance


@dataclass(frozen=True)
class Deviation:
    """A place where we mean to differ from the original."""

    name: str
    reason: str


_BEYOND_US = {
    "infer_full_*_rule.npz": "a digest of what the file does not say; the sound of these weights decides",
    "rmvpe_*_rule.npz": "a digest of what the file does not say; what these weights hear decides",
}
"""Why arrays that nothing here computes are no miss, by the glob of files that have such. The output of the
network is compared in each of them, or the check fails."""


def not_compared(path: Path, name: str) -> Finding | Deviation:
    """What to say of an array that nothing here computes: that it is a miss, unless it must be so."""
    for glob, reason in _BEYOND_US.items():
        if fnmatchcase(path.name, glob):
            return Deviation(name, reason)
    return Finding(f"{name} (nothing here computes an array of this name)", float("nan"), 0.0)


Check = Callable[[Path], Iterable[Finding | Deviation]]
"""Gets the path of one file below `data/` or `models/`; siblings are found beside it."""


def absolute(name: str, ours: ArrayLike, theirs: ArrayLike, tolerance: float) -> Finding:
    """The largest absolute difference; NaN where shapes differ."""
    a, b = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if a.shape != b.shape:
        return Finding(f"{name} (shapes {a.shape} and {b.shape})", float("nan"), tolerance)
    return Finding(name, float(np.abs(a - b).max(initial=0.0)), tolerance)


def relative(name: str, ours: ArrayLike, theirs: ArrayLike, tolerance: float) -> Finding:
    """The largest difference over the magnitude of the original's value; NaN where shapes differ."""
    a, b = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if a.shape != b.shape:
        return Finding(f"{name} (shapes {a.shape} and {b.shape})", float("nan"), tolerance)
    return Finding(name, float((np.abs(a - b) / np.maximum(np.abs(b), 1e-12)).max(initial=0.0)), tolerance)


def equal(name: str, ours: object, theirs: object) -> Finding:
    """0 if the two are equal, else 1."""
    same = np.array_equal(np.asarray(ours), np.asarray(theirs))
    return Finding(name, 0.0 if same else 1.0, 0.0)
