"""A clock for tests, and stores that go by it."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from rvc.contract import StoreSettings
from rvc.store.oss.retry import RetryPolicy, Waiting
from rvc.store.oss.store import OssStore
from tests.oss import KEY_ID, KEY_SECRET, REGION, OssServer

ENVIRONMENT = {"OSS_ACCESS_KEY_ID": KEY_ID, "OSS_ACCESS_KEY_SECRET": KEY_SECRET}


@dataclass
class SimulatedTime:
    """A clock that only goes on when somebody waits; pauses are as long as they can be."""

    seconds: float = 0.0
    pauses: list[float] = field(default_factory=list)
    on_pause: Callable[[float], None] = lambda now: None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def sleep(self, pause: float) -> None:
        with self._lock:
            self.seconds += pause
            self.pauses.append(pause)
        self.on_pause(self.seconds)

    @property
    def waiting(self) -> Waiting:
        return Waiting(now=lambda: self.seconds, sleep=self.sleep, uniform=lambda low, high: high)


def open_oss(
    server: OssServer, clock: SimulatedTime, bucket: str = "voices", policy: RetryPolicy | None = None
) -> OssStore:
    """A bucket of the test server."""
    settings = StoreSettings(endpoint=server.endpoint, region=REGION)
    return OssStore(bucket, settings, ENVIRONMENT, policy=policy, waiting=clock.waiting)
