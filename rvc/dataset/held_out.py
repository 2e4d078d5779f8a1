"""Which recordings training never sees, so that there is something to judge the voice by.

By file, not by clip: what was said in one sitting, in one room, is too alike to tell learning from
remembering. The choice depends on the contents of the files alone, so every attempt makes the same one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rvc.dataset.recordings import Recording

HELD_OUT_SECONDS = 60.0
"""At most."""
_SHARE = 0.05
_FEWEST_RECORDINGS = 8
_FEWEST_SECONDS = 60.0


def held_out(recordings: Sequence[Recording], seconds: Sequence[float]) -> set[str]:
    """Names of the recordings to hold out: about 5 % of the seconds, none of a small dataset.

    Every speaker keeps at least one recording. Where all files are longer than that, it is the shortest.
    """
    total = sum(seconds)
    if len(recordings) < _FEWEST_RECORDINGS or total < _FEWEST_SECONDS:
        return set()
    left = Counter(recording.speaker for recording in recordings)
    candidates = sorted(zip(recordings, seconds, strict=True), key=lambda one: (one[0].digest, one[0].name))
    wanted = min(_SHARE * total, HELD_OUT_SECONDS)
    chosen: set[str] = set()
    taken = 0.0
    for recording, length in candidates:
        if taken + length <= wanted and left[recording.speaker] > 1:
            chosen.add(recording.name)
            taken += length
            left[recording.speaker] -= 1
    if chosen:
        return chosen
    spare = [one for one in candidates if left[one[0].speaker] > 1]
    shortest = min(spare, key=lambda one: one[1], default=None)
    return set() if shortest is None else {shortest[0].name}
