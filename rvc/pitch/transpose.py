"""Automatic transposition: from where the source speaks to where the voice does."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

FURTHEST_SEMITONES = 36
"""Three octaves, as far as a fixed transposition may go."""


def automatic_transpose(source_f0_hertz: ArrayLike, voice_median_hertz: float | None) -> int:
    """Whole semitones that bring the median F0 of the source's voiced frames nearest to the voice's median.

    Whole ones, so that what is sung stays in tune with an accompaniment in the new key. 0 when the source has
    no voiced frame or the voice's median is not known (None or 0: a voice without pitch).
    """
    f0 = np.asarray(source_f0_hertz, np.float64)
    voiced = f0[f0 > 0]
    if not len(voiced) or not voice_median_hertz:
        return 0
    semitones = round(12.0 * math.log2(voice_median_hertz / float(np.median(voiced))))
    return max(-FURTHEST_SEMITONES, min(FURTHEST_SEMITONES, semitones))
