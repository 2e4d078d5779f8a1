"""The operator as a whole: what is heard goes into the cache, keys go onto the queue, workers reconcile
them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from random import random, uniform

import aiohttp
import msgspec

from rvc.proof import Signer
from rvc_operator.api.names import MANAGED_BY_LABEL, MANAGER
from rvc_operator.config import Config
from rvc_operator.metrics.collector import PresentCollector, Sources
from rvc_operator.metrics.meters import Meters

from .cache import Body, Cache, Change, Key, Kind, key_of, version_of
from .conversions import Conversions
from .kube import TOO_MANY_REQUESTS, ApiError, Kube
from .liveness import Liveness, Watch
from .logs import working_on
from .pods import Pods
from .queue import WorkQueue
from .routing import affected
from .shell import Shell
from .voices import reconcile_voice

log = logging.getLogger(__name__)

CHILD_SELECTOR = f"{MANAGED_BY_LABEL}={MANAGER}"
FIRST_LISTING_RETRY_SECONDS = 2.0
NEXT_LISTING_SECONDS = 30.0
"""Time to the next listing when one failed, or left a doubt about a watch."""
STALE_RESYNCS = 3
"""Missed listings after which the operator must be taken for dead."""


class Operator:
    """Everything that runs in the operator's process, beside kopf."""

    def __init__(
        self,
        config: Config,
        kube: Kube,
        signer: Callable[[], Awaitable[Signer]],
        now: Callable[[], datetime],
        meters: Meters,
    ) -> None:
        """To be made inside an event loop, whose clock measures all intervals; `now` is the time of day in
        whole seconds, UTC. Nothing is done before there is a signer, however long that takes."""
        self._config = config
        self._kube = kube
        self._signer = signer
        self._now = now
        self._meters = meters
        self._pods: Pods | None = None
        self._cache = Cache()
        self._clock = asyncio.get_running_loop().time
        self._queue: WorkQueue[Key] = WorkQueue(self._clock, random)
        self._liveness = Liveness(STALE_RESYNCS * config.resync_seconds, self._clock())
        self._listed = asyncio.Event()
        self._to_list: list[tuple[Kind, str]] = []
        """What is still to be listed in this round."""
        self._newest: dict[Watch, int] = {}
        self._heard: dict[Watch, float] = {}
        self._tasks: list[asyncio.Task[None]] = []
        meters.registry.register(PresentCollector(self._sources()))

    def start(self) -> None:
        """Begin to read everything there is; work follows once it has been read, however long that takes."""
        self._tasks = [asyncio.create_task(self._resync()), asyncio.create_task(self._begin())]

    def cancel(self) -> None:
        """End all work at once; what is half done is done again after the next start."""
        for task in self._tasks:
            task.cancel()

    async def stop(self) -> None:
        """End all work and close all connections."""
        self.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._pods is not None:
            await self._pods.close()
        await self._kube.close()

    def observe(self, kind: Kind, deleted: bool, body: Body) -> None:
        """Hear of an object from a watch."""
        watch = self._watch(kind, key_of(kind, body).namespace)
        self._heard[watch] = self._clock()
        self._liveness.heard(watch, version_of(body))
        change = self._cache.remove(kind, body) if deleted else self._cache.store(kind, body)
        if change is not None:
            self._take_up(change)

    def seconds_since_listing(self) -> float | None:
        """Age of the newest complete listing, None before the first."""
        return self._liveness.seconds_since_listing(self._clock())

    def problem(self) -> str:
        """Why a new process would do better than this one; empty if it would not."""
        if any(task.done() for task in self._tasks):
            return "a part of the operator has ended"
        return self._liveness.problem(self._clock())

    def _take_up(self, change: Change) -> None:
        """A change that others made: look at the object itself, too."""
        if not change.key.kind.child:
            self._queue.add(change.key)
        self._route(change)

    def _route(self, change: Change) -> None:
        for key in affected(self._cache, change):
            if key != change.key:
                self._queue.add(key)

    async def _begin(self) -> None:
        """Get ready, then be one of the workers."""
        signer = await self._signer()
        config = replace(self._config, public_key=signer.public_key)
        log.info("configuration: %s", msgspec.json.encode(config).decode())
        self._pods = Pods(signer)
        shell = Shell(config, self._cache, self._kube, self._pods, self._now, self._route, self._meters)
        conversions = Conversions(shell)
        await self._listed.wait()
        others = range(config.workers - 1)
        self._tasks += [asyncio.create_task(self._work(shell, conversions)) for _ in others]
        await self._work(shell, conversions)

    async def _work(self, shell: Shell, conversions: Conversions) -> None:
        while True:
            key = await self._queue.get()
            begun = self._clock()
            try:
                with working_on(key):
                    voice = key.kind is Kind.VOICE
                    seconds = await (reconcile_voice(shell, key) if voice else conversions.reconcile(key))
            except Exception as error:
                self._meters.reconciled(key.kind.kind, self._clock() - begun, error)
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
                self._meters.reconciled(key.kind.kind, self._clock() - begun)
                self._queue.done(key, seconds)

    async def _resync(self) -> None:
        soon = min(NEXT_LISTING_SECONDS, self._config.resync_seconds)
        while True:
            try:
                await self._list_everything()
            except Exception as error:
                self._liveness.failed(_is_unreachable(error), self._clock())
                if self._pods is not None:
                    # What keeps us from the API server may keep us from the pods.
                    self._pods.silences.forget()
                log.warning("listing failed, another one follows: %r", error)
                wait = soon if self._listed.is_set() else FIRST_LISTING_RETRY_SECONDS
            else:
                self._listed.set()
                wait = soon if self._liveness.doubtful else self._config.resync_seconds
            await asyncio.sleep(wait * uniform(0.8, 1.0))

    async def _list_everything(self) -> None:
        """Put the cache right, and look at every object: a timer may have been lost with the process.

        A bad answer is no reason to begin again with what has been listed well: there may be many namespaces.
        """
        if not self._to_list:
            self._newest.clear()
            self._to_list = [(kind, each) for kind in Kind for each in self._config.namespaces or ("",)]
        problem: Exception | None = None
        for kind, namespace in list(self._to_list):
            try:
                await self._list(kind, namespace)
            except (ApiError, aiohttp.ClientError, OSError) as error:
                problem = problem or error
            else:
                self._to_list.remove((kind, namespace))
        if problem is not None:
            raise problem
        self._liveness.listed(self._newest.items(), self._clock())
        for kind in (Kind.VOICE, Kind.CONVERSION):
            for key in self._cache.keys(kind):
                self._queue.add(key)

    async def _list(self, kind: Kind, namespace: str) -> None:
        bodies, version = await self._kube.list(kind, namespace, CHILD_SELECTOR if kind.child else "")
        self._newest[self._watch(kind, namespace)] = max(map(version_of, bodies), default=0)
        covered = frozenset(filter(None, [namespace]))
        for change in self._cache.replace(kind, covered, bodies, version):
            self._take_up(change)

    def _sources(self) -> Sources:
        """Where metrics read the present."""
        return Sources(
            voices=lambda: self._cache.all(Kind.VOICE),
            conversions=lambda: self._cache.all(Kind.CONVERSION),
            queue_depth=lambda: self._queue.depth,
            seconds_since_listing=self.seconds_since_listing,
            seconds_since_heard=lambda: {
                watch: self._clock() - heard for watch, heard in self._heard.items()
            },
        )

    def _watch(self, kind: Kind, namespace: str) -> Watch:
        """The watch that tells of a namespace."""
        return Watch(kind.plural, namespace if self._config.namespaces else "")


def _is_unreachable(error: Exception) -> bool:
    """Whether the API server was away or unwell, which no restart of ours would mend."""
    if isinstance(error, ApiError):
        return error.status >= 500 or error.status == TOO_MANY_REQUESTS
    return isinstance(error, aiohttp.ClientError | OSError | TimeoutError)


def utc_now() -> datetime:
    """Time of day in whole seconds, as times in the API are."""
    return datetime.now(UTC).replace(microsecond=0)
