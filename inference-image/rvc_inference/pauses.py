"""Waiting for a store, which ends when there is no more time for it.

The store itself decides how long it is worth waiting; see `open_store`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from rvc.errors import StoreUnavailable, Terminated

Sleep = Callable[[float], None]
"""Pauses for so many seconds; raises to give up early."""


class Pauses:
    """The pauses of one conversion or of one server."""

    def __init__(self, ended: threading.Event) -> None:
        self._ended = ended
        self.in_vain = False
        """Whether the store has just used up its patience: then nothing more is waited for."""

    def sleep(self, seconds: float) -> None:
        """Pause; raises `Terminated` once the end was asked for, `StoreUnavailable` if waiting is in vain."""
        if self._ended.wait(0.0 if self.in_vain else seconds):
            raise Terminated("ended while waiting for the store")
        if self.in_vain:
            raise StoreUnavailable("the store still does not answer; it is tried again later")
