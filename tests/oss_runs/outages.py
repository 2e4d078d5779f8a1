"""A store that goes away for a while, on a clock that goes on only where somebody waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from rvc.store.oss import retry
from rvc.store.oss.retry import Waiting
from tests.oss import Fault, Operation, OssServer
from tests.store.support import SimulatedTime

ALWAYS = float("inf")
SILENT = Fault(reset=True, times=ALWAYS)
"""Nobody answers."""
UNAVAILABLE = Fault(status=503, code="ServiceUnavailable", times=ALWAYS)


def wait_by(clock: SimulatedTime, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every store that a program of ours opens wait by this clock; whoever may end the waiting still
    may."""

    def waiting(sleep: Callable[[float], None]) -> Waiting:
        def pause(seconds: float) -> None:
            sleep(0.0)
            clock.sleep(seconds)

        return replace(clock.waiting, sleep=pause)

    monkeypatch.setattr(retry, "Waiting", waiting)


class Outages:
    """The server is away after operations that are chosen, for so many seconds of the clock each time."""

    def __init__(
        self,
        server: OssServer,
        clock: SimulatedTime,
        begins: Callable[[Operation], bool],
        fault: Fault = UNAVAILABLE,
        seconds: float = 600.0,
    ) -> None:
        self.number = 0
        """How many there were."""
        self._server, self._clock = server, clock
        self._begins, self._fault, self._seconds = begins, fault, seconds
        self._until = 0.0
        self._lock = threading.Lock()
        server.after_operation = self._begin
        clock.on_pause = self._end

    def _begin(self, operation: Operation) -> None:
        with self._lock:
            if not self._until and self._begins(operation):
                self.number += 1
                self._until = self._clock.seconds + self._seconds
                self._server.faults.add(self._fault)

    def _end(self, now: float) -> None:
        with self._lock:
            if self._until and now >= self._until:
                self._until = 0.0
                self._server.faults.clear()


def once_each(*patterns: tuple[str, str]) -> Callable[[Operation], bool]:
    """The first operation of each (name, part of the key)."""
    left = list(patterns)

    def begins(operation: Operation) -> bool:
        found = next((each for each in left if each[0] == operation.name and each[1] in operation.key), None)
        if found is not None:
            left.remove(found)
        return found is not None

    return begins
