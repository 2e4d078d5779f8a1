"""A work queue of keys: each key waits at most once and is worked on by at most one worker at a time.

That is what makes a level-based operator cheap and safe: a hundred events about an object are one look at
it, two workers never plan for the same object, and an event during the work means one more look afterwards.
Failed keys come back with exponential back-off, others when they asked to.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

BACKOFF_SECONDS = 0.5
BACKOFF_LIMIT_SECONDS = 60.0


class WorkQueue(Generic[K]):
    """Keys that are due now or later."""

    def __init__(self, clock: Callable[[], float], random: Callable[[], float]) -> None:
        """`clock` gives monotonic seconds, `random` numbers from 0 to 1 for the jitter of back-off."""
        self._clock = clock
        self._random = random
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._order = itertools.count()
        self._active: set[K] = set()
        self._failures: dict[K, int] = {}
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        """Keys that wait, due or not."""
        return len(self._due)

    @property
    def depth(self) -> int:
        """Keys that are due and that no worker has taken yet."""
        now = self._clock()
        return sum(due <= now for due in self._due.values())

    def add(self, key: K, seconds: float = 0.0) -> None:
        """Look at `key` in so many seconds, or earlier if that was asked for already."""
        due = self._clock() + seconds
        if key in self._due and self._due[key] <= due:
            return
        self._due[key] = due
        if key not in self._active:
            self._push(key)

    async def get(self) -> K:
        """The next key that is due; it is the caller's alone until `done` or `failed`."""
        while True:
            self._changed.clear()
            wait = self._seconds_to_next()
            if wait is not None and wait <= 0:
                return self._pop()
            try:
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def done(self, key: K, seconds: float | None = None) -> None:
        """The work on `key` is done; look again in so many seconds, or only when something happens."""
        self._failures.pop(key, None)
        self._release(key, seconds)

    def failed(self, key: K) -> float:
        """The work on `key` failed; it comes back after the returned number of seconds."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        nominal = min(BACKOFF_SECONDS * 2.0 ** min(failures - 1, 16), BACKOFF_LIMIT_SECONDS)
        seconds = nominal * (0.5 + self._random())
        # An event may not cut the back-off short, or a busy object would be retried in a tight loop.
        self._due.pop(key, None)
        self._release(key, seconds)
        return seconds

    def _release(self, key: K, seconds: float | None) -> None:
        self._active.discard(key)
        if key in self._due:
            self._push(key)
        if seconds is not None:
            self.add(key, seconds)

    def _push(self, key: K) -> None:
        heapq.heappush(self._heap, (self._due[key], next(self._order), key))
        self._changed.set()

    def _seconds_to_next(self) -> float | None:
        # Entries stay in the heap when their key gets an earlier time or a worker; they are skipped here.
        while self._heap and not self._valid(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] - self._clock() if self._heap else None

    def _valid(self, entry: tuple[float, int, K]) -> bool:
        due, _, key = entry
        return key not in self._active and self._due.get(key) == due

    def _pop(self) -> K:
        _, _, key = heapq.heappop(self._heap)
        del self._due[key]
        self._active.add(key)
        if self._heap:
            # Another worker may be waiting for what is due next.
            self._changed.set()
        return key
