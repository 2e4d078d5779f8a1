"""How the original RVC cuts speech into pieces, and how loud it makes them (facts 3.2 and 3.3).

Neighbouring pieces share 0.3 seconds. That is about as long as the excerpt of a piece that the decoder is
trained on: an excerpt begins anywhere in a piece with equal chance, so what lies near a piece's ends is drawn
less often, and what two pieces share makes up for it. Nothing of a piece is lost or written over.
"""

from __future__ import annotations

import numpy as np
import scipy.signal

from rvc.signal import Floats

_PIECE_SECONDS = 3.7
_SHARED_SECONDS = 0.3
_PEAK = 0.9
_EVENNESS = 0.75
"""1 brings all pieces to one peak, 0 leaves them as they are but for a factor."""
_HIGH_PASS_HERTZ = 48
_HIGH_PASS_ORDER = 5


def piece_bounds(length: int, per_second: int) -> list[tuple[int, int]]:
    """Bounds [start, end) of the pieces of continuous speech, in units of which there are `per_second`.

    All but the last are 3.7 seconds long, the last has up to 4.0.
    """
    bounds: list[tuple[int, int]] = []
    start = 0
    while length - start > (_PIECE_SECONDS + _SHARED_SECONDS) * per_second:
        bounds.append((start, start + int(_PIECE_SECONDS * per_second)))
        start = int(per_second * (_PIECE_SECONDS - _SHARED_SECONDS) * len(bounds))
    return [*bounds, (start, length)]


def even_loudness(piece: Floats) -> Floats:
    """The piece, most of the way to a peak of 0.9."""
    peak = float(np.abs(piece).max(initial=0.0))
    if not peak:
        return piece
    return piece * np.float32(_PEAK * _EVENNESS / peak + 1 - _EVENNESS)


def remove_rumble_causally(audio: Floats, sample_rate_hertz: int) -> Floats:
    """What lies below 48 Hz taken out, forward only, as the original does before training."""
    rumble = scipy.signal.butter(
        _HIGH_PASS_ORDER, _HIGH_PASS_HERTZ, "highpass", fs=sample_rate_hertz, output="sos"
    )
    return np.asarray(scipy.signal.sosfilt(rumble, audio), dtype=np.float32)
