"""White noise as a pure function of (seed, sample position).

A file is synthesized in tiles, perhaps by two servers; whoever computes sample `n` must draw the same number
for it. A counter-based generator (Philox) can be set to any position in constant time, so nothing has to be
remembered.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_DRAWS_PER_COUNTER = 8
"""One counter of Philox 4x64 gives four 64-bit words, which we read as eight 32-bit ones."""


def white_noise(seed: int, first_sample: int, samples: int) -> NDArray[np.float32]:
    """Uniform noise of mean 0 and variance 1 at sample positions `first_sample ...`, [samples].

    Uniform, not Gaussian, because one draw makes one sample; windowed spectra cannot tell the two apart.
    """
    first_counter = first_sample // _DRAWS_PER_COUNTER
    last_counter = -(-(first_sample + samples) // _DRAWS_PER_COUNTER)
    generator = np.random.Philox(key=seed % 2**64).advance(first_counter)
    words = generator.random_raw((last_counter - first_counter) * _DRAWS_PER_COUNTER // 2).view(np.uint32)
    offset = first_sample - first_counter * _DRAWS_PER_COUNTER
    unit = words[offset : offset + samples].astype(np.float64) / 2**32 - 0.5
    return np.asarray(unit * np.sqrt(12.0), dtype=np.float32)
