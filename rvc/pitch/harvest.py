"""Harvest (Morise 2017) refined by StoneMask, both of WORLD, through the package pyworld-prebuilt.

WORLD filters a recording as a whole for each of some hundred and fifty bands, at a cost that grows faster
than the recording; so it is given windows.
"""

from __future__ import annotations

import numpy as np

from rvc.contract import PitchMethod
from rvc.pitch.packages import optional_package
from rvc.pitch.windows import HIGHEST_HERTZ, HOP, LOWEST_HERTZ, Windows, in_range

SAMPLE_RATE_HERTZ = 16000


class Harvest:
    """The pitch method `Harvest`; see `rvc.pitch.PitchExtractor`."""

    name = PitchMethod.HARVEST
    windows = Windows(length=3000, context=100)

    def __init__(self) -> None:
        """Raises `InvalidConfiguration` where the package is not installed."""
        self._world, self.digest = optional_package(PitchMethod.HARVEST, "pyworld-prebuilt", "pyworld")

    def __call__(self, audio: np.ndarray) -> np.ndarray:
        """F0 in hertz, float32 [samples // 160]; 0 = unvoiced."""
        frames = len(audio) // HOP
        rest = len(audio) - frames * HOP
        return self.windows(
            frames, lambda first, last: self._hertz(audio[first * HOP : last * HOP + rest])[: last - first]
        )

    def _hertz(self, audio: np.ndarray) -> np.ndarray:
        samples = np.ascontiguousarray(audio, dtype=np.float64)
        rough, times = self._world.harvest(
            samples,
            SAMPLE_RATE_HERTZ,
            f0_floor=LOWEST_HERTZ,
            f0_ceil=HIGHEST_HERTZ,
            frame_period=1000.0 * HOP / SAMPLE_RATE_HERTZ,
        )
        return in_range(self._world.stonemask(samples, rough, times, SAMPLE_RATE_HERTZ))
