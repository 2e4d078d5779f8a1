"""Waiting for a store, which ends when the pod is to end.

The store itself decides how long it is worth waiting; see `open_store`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from rvc.errors import Terminated

SAVING_SECONDS = 90.0
"""A checkpoint may need so long after SIGTERM; the pod's grace period is 120 s."""


class Pauses:
    """The pauses of one attempt, which `stop` ends."""

    def __init__(self, stop: threading.Event, now: Callable[[], float] = time.monotonic) -> None:
        self._stop = stop
        self._now = now
        self._stopped_at: float | None = None

    def stopped(self) -> bool:
        """Whether a stop was asked for."""
        return self._stop.is_set()

    def go_on(self, doing: str) -> None:
        """Raise `Terminated` if a stop was asked for."""
        if self.stopped():
            raise Terminated(f"ended while {doing}")

    def sleep(self, seconds: float) -> None:
        """Pause; raises `Terminated` once a stop was asked for."""
        if self._stop.wait(seconds):
            raise Terminated("ended while waiting for the store")

    def sleep_to_save(self, seconds: float) -> None:
        """Pause; raises `Terminated` when there is no time left to save anything."""
        if not self._stop.wait(seconds):
            return
        if self._stopped_at is None:
            self._stopped_at = self._now()
        left = self._stopped_at + SAVING_SECONDS - self._now()
        if left <= 0:
            raise Terminated(
                "ended while waiting for the store; what was learnt since the last checkpoint is lost"
            )
        time.sleep(min(seconds, left))
