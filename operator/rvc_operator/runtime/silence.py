"""How long a pod has not answered although it was asked again and again.

Kept in memory, since only a process that was there to ask can tell: after a restart silence begins anew.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

LONGEST_PAUSE_SECONDS = 180.0
"""Two questions further apart than this leave it open whether the pod was silent in between; the work queue
lets no look at an object wait so long."""


@dataclass
class _Silence:
    began: float
    newest: float


class Silences:
    """By pod; one that is asked no more is forgotten."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` gives monotonic seconds."""
        self._clock = clock
        self._silences: dict[Hashable, _Silence] = {}

    def answered(self, pod: Hashable) -> None:
        """It has spoken, whatever it said."""
        self._silences.pop(pod, None)

    def missed(self, pod: Hashable) -> None:
        """It was asked in vain."""
        now = self._clock()
        current = {
            key: one for key, one in self._silences.items() if now - one.newest <= LONGEST_PAUSE_SECONDS
        }
        current.setdefault(pod, _Silence(now, now)).newest = now
        self._silences = current

    def seconds(self, pod: Hashable) -> float:
        """Time from the first question without an answer to the newest one, 0 if the newest was answered."""
        silence = self._silences.get(pod)
        return silence.newest - silence.began if silence is not None else 0.0

    def forget(self) -> None:
        """Nothing that was missed so far counts: the fault may have been on our side."""
        self._silences.clear()
