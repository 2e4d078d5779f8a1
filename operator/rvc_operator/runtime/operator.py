"""The operator as a whole: what is heard goes into the cache, keys go onto the queue, workers reconcile
them."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime
from random import random

from rvc_operator.api.names import MANAGED_BY_LABEL, MANAGER
from rvc_operator.config import Config

from .cache import Body, Cache, Change, Key, Kind
from .conversions import Conversions
from .kube import Kube
from .pods import Pods
from .queue import WorkQueue
from .routing import affected
from .shell import Shell
from .voices import reconcile_voice

log = logging.getLogger(__name__)

CHILD_SELECTOR = f"{MANAGED_BY_LABEL}={MANAGER}"
FIRST_LISTING_RETRY_SECONDS = 2.0
STALE_RESYNCS = 3
"""Missed listings after which the operator must be taken for dead."""


class Operator:
    """Everything that runs in the operator's process, beside kopf."""

    def __init__(self, config: Config, kube: Kube, pods: Pods) -> None:
        self._config = config
        self._kube = kube
        self._pods = pods
        self._cache = Cache()
        self._queue: WorkQueue[Key] = WorkQueue(time.monotonic, random)
        self._shell = Shell(config, self._cache, kube, pods, _now, self._route)
        self._conversions = Conversions(self._shell)
        self._listed = time.monotonic()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Read everything there is, then work; returns once it has been read, however long that takes."""
        while True:
            try:
                await self._list_everything()
                break
            except Exception as error:
                log.warning("the first listing failed, another one follows: %s", error)
                await asyncio.sleep(FIRST_LISTING_RETRY_SECONDS)
        self._tasks = [asyncio.create_task(self._work()) for _ in range(self._config.workers)]
        self._tasks.append(asyncio.create_task(self._resync()))

    async def stop(self) -> None:
        """End all work; what is half done is done again after the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._pods.close()
        await self._kube.close()

    def observe(self, kind: Kind, deleted: bool, body: Body) -> None:
        """Hear of an object from a watch."""
        change = self._cache.remove(kind, body) if deleted else self._cache.store(kind, body)
        if change is not None:
            self._take_up(change)

    def seconds_since_listing(self) -> float:
        """Age of the newest complete listing."""
        return time.monotonic() - self._listed

    def is_stale(self) -> bool:
        """Whether the listings that back the watches up have failed for too long."""
        return self.seconds_since_listing() > STALE_RESYNCS * self._config.resync_seconds

    def _take_up(self, change: Change) -> None:
        """A change that others made: look at the object itself, too."""
        if not change.key.kind.child:
            self._queue.add(change.key)
        self._route(change)

    def _route(self, change: Change) -> None:
        for key in affected(self._cache, change):
            if key != change.key:
                self._queue.add(key)

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            try:
                seconds = await self._reconcile_one(key)
            except Exception as error:
                delay = self._queue.failed(key)
                expected = not isinstance(error, TypeError | ValueError | LookupError | AssertionError)
                log.warning(
                    "%s %s/%s failed, next try in %.1f s: %r",
                    key.kind.kind,
                    key.namespace,
                    key.name,
                    delay,
                    error,
                    exc_info=None if expected else error,
                )
            else:
                self._queue.done(key, seconds)

    async def _reconcile_one(self, key: Key) -> float | None:
        if key.kind is Kind.VOICE:
            return await reconcile_voice(self._shell, key)
        return await self._conversions.reconcile(key)

    async def _resync(self) -> None:
        while True:
            await asyncio.sleep(self._config.resync_seconds)
            try:
                await self._list_everything()
            except Exception as error:
                log.warning("listing failed: %s", error)

    async def _list_everything(self) -> None:
        """Put the cache right, and look at every object: a timer may have been lost with the process."""
        for kind in Kind:
            for namespace in self._config.namespaces or ("",):
                selector = CHILD_SELECTOR if kind.child else ""
                bodies, version = await self._kube.list(kind, namespace, selector)
                covered = frozenset(filter(None, [namespace]))
                for change in self._cache.replace(kind, covered, bodies, version):
                    self._take_up(change)
        self._listed = time.monotonic()
        for kind in (Kind.VOICE, Kind.CONVERSION):
            for key in self._cache.keys(kind):
                self._queue.add(key)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
