"""Praat's autocorrelation (Boersma 1993), through the package praat-parselmouth.

Analysed with RVC's settings and placed as RVC places it: frames that Praat does not analyse, three at either
end, are unvoiced, and where the recording is not a whole number of frames long, frames lie up to 5 ms late.

Praat takes for silence what is far below the loudest sample it was given. A window of a long recording would
have its own, so its silence threshold is raised to mean the recording's; windows then find what the whole
does.
"""

from __future__ import annotations

import numpy as np

from rvc.contract import PitchMethod
from rvc.pitch.packages import optional_package
from rvc.pitch.windows import HIGHEST_HERTZ, HOP, LOWEST_HERTZ, Windows, in_range

SAMPLE_RATE_HERTZ = 16000

_SHORTEST_FRAMES = 6
_SILENCE_THRESHOLD = 0.03
_VOICING_THRESHOLD = 0.6


class Praat:
    """The pitch method `Praat`; see `rvc.pitch.PitchExtractor`."""

    name = PitchMethod.PRAAT
    windows = Windows(length=6000, context=300)

    def __init__(self) -> None:
        """Raises `InvalidConfiguration` where the package is not installed."""
        self._parselmouth, self.digest = optional_package(
            PitchMethod.PRAAT, "praat-parselmouth", "parselmouth"
        )

    def __call__(self, audio: np.ndarray) -> np.ndarray:
        """F0 in hertz, float32 [samples // 160]; 0 = unvoiced."""
        frames = len(audio) // HOP
        peak = _peak(audio)
        rest = len(audio) - frames * HOP

        def f0_of(first: int, last: int) -> np.ndarray:
            return self._hertz(audio[first * HOP : last * HOP + rest], peak)

        return in_range(self.windows(frames, f0_of))

    def _hertz(self, audio: np.ndarray, peak: float) -> np.ndarray:
        frames = len(audio) // HOP
        own_peak = _peak(audio)
        if frames < _SHORTEST_FRAMES or not own_peak:
            return np.zeros(frames)
        sound = self._parselmouth.Sound(np.asarray(audio, np.float64), SAMPLE_RATE_HERTZ)
        pitch = sound.to_pitch_ac(
            time_step=HOP / SAMPLE_RATE_HERTZ,
            silence_threshold=_SILENCE_THRESHOLD * peak / own_peak,
            voicing_threshold=_VOICING_THRESHOLD,
            pitch_floor=LOWEST_HERTZ,
            pitch_ceiling=HIGHEST_HERTZ,
        )
        found = pitch.selected_array["frequency"]
        before = (frames - len(found) + 1) // 2
        return np.pad(found, (before, frames - len(found) - before))


def _peak(audio: np.ndarray) -> float:
    """The largest excursion from the mean, which is what Praat measures silence by."""
    if not len(audio):
        return 0.0
    mean = audio.mean(dtype=np.float64)
    return float(max(audio.max() - mean, mean - audio.min()))
