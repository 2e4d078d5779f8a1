"""When to ask again: exponential back-off with full jitter, bounded by a number of tries and by time.

An outage of OSS is sat out (a quarter of an hour, 20 s apart at most): an attempt that dies of it costs a GPU
pod's start and an attempt of the voice. What no outage looks like, such as a host name that does not exist,
has less patience by `failures`.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from rvc.pod import event
from rvc.store.oss.failures import Failure

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RetryPolicy:
    """Bounds of one request and its repetitions."""

    first_pause_seconds: float = 0.2
    """The longest that the first pause can be; it doubles."""
    longest_pause_seconds: float = 20.0
    tries: int = 200
    seconds: float = 900.0


@dataclass(frozen=True)
class Waiting:
    """Clock, pauses and chance, for tests to replace; `sleep` may raise to give up early."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    uniform: Callable[[float, float], float] = random.uniform


class Patience:
    """What is left of it for one request."""

    def __init__(self, policy: RetryPolicy, waiting: Waiting) -> None:
        self._policy = policy
        self._waiting = waiting
        self.renew()

    def renew(self) -> None:
        """Start again: the request has come further than ever before."""
        self._tries = 0
        self._start = self._waiting.now()

    def allows(self, failure: Failure, uri: str) -> bool:
        """Pause before another try; false, at once, when there is to be none."""
        policy = self._policy
        self._tries += 1
        longest = min(policy.longest_pause_seconds, policy.first_pause_seconds * 2.0 ** (self._tries - 1))
        pause = failure.retry_after_seconds + self._waiting.uniform(0.0, longest)
        left = min(policy.seconds, failure.patience_seconds) - (self._waiting.now() - self._start)
        if self._tries >= policy.tries or pause > left:
            return False
        level = logging.WARNING if longest >= 1.0 else logging.DEBUG
        event(log, "store asked again", level=level, uri=uri, trouble=failure.what, pause=round(pause, 1))
        self._waiting.sleep(pause)
        return True
