"""F0 as RVC's networks are told it: one of 255 bins, evenly spaced in mel from 50 to 1100 Hz."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rvc.pitch.windows import HIGHEST_HERTZ, LOWEST_HERTZ

HIGHEST_BIN = 255


def pitch_bins(f0_hertz: ArrayLike) -> NDArray[np.int64]:
    """Bins 1 to 255 of F0 in hertz, any shape; unvoiced (0 Hz) and too low is 1, too high is 255."""
    low, high = _mel(np.array([LOWEST_HERTZ, HIGHEST_HERTZ]))
    bins = (_mel(np.asarray(f0_hertz, np.float64)) - low) * (HIGHEST_BIN - 1) / (high - low) + 1
    rounded: NDArray[np.int64] = np.rint(np.clip(bins, 1, HIGHEST_BIN)).astype(np.int64)
    return rounded


def _mel(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    mels: NDArray[np.float64] = 1127.0 * np.log1p(hertz / 700.0)
    return mels
