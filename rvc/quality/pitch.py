"""How well a converted sound keeps the melody of its source, but for the transposition."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rvc.signal import Floats

_GROSS_SEMITONES = 12 * np.log2(1.2)
_FEWEST_FRAMES = 20
_LEAST_SPREAD = 1e-4
"""Of ln F0: what varies less is one pitch."""


@dataclass(frozen=True)
class PitchAgreement:
    """Over the frames that both have voiced."""

    correlation: float
    """Of ln F0."""
    gross_error: float
    """Share of the frames that are off by more than a fifth of their frequency, transposition apart."""
    voicing_error: float
    """Share of all frames that only one of the two has voiced."""
    semitones: float
    """Median distance: how far the sound was transposed."""


def pitch_agreement(source_hertz: Floats, sound_hertz: Floats) -> PitchAgreement | None:
    """Of two F0 tracks, 0 where unvoiced; None where less than a fifth of a second is voiced in both, or one
    of them stays on one pitch."""
    frames = min(len(source_hertz), len(sound_hertz))
    source, sound = source_hertz[:frames].astype(np.float64), sound_hertz[:frames].astype(np.float64)
    both = (source > 0) & (sound > 0)
    if both.sum() < _FEWEST_FRAMES:
        return None
    a, b = np.log(source[both]), np.log(sound[both])
    if min(a.std(), b.std()) < _LEAST_SPREAD:
        return None
    distance = 12 * (b - a) / np.log(2)
    median = float(np.median(distance))
    return PitchAgreement(
        correlation=float(np.corrcoef(a, b)[0, 1]),
        gross_error=float((np.abs(distance - median) > _GROSS_SEMITONES).mean()),
        voicing_error=float(((source > 0) != (sound > 0)).mean()),
        semitones=median,
    )
