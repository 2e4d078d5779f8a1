"""The operator inside the test's process: cache, queue, workers and reconcilers, fed by plain watches.

It can be killed at a given request, which a process cannot: `kill` ends every task before any of them takes
another step, so that nothing is asked of the API server or of a pod after it. kopf, which only feeds the
watches, is left out: it takes a second to start. `tests.operator.process` has the whole of it.
"""

import asyncio
import json
import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Any

import aiohttp
from kubernetes.aio.client import Configuration

from rvc.proof import SEED_BYTES, Signer
from rvc_operator.config import Config
from rvc_operator.metrics.meters import Meters
from rvc_operator.runtime.cache import Kind
from rvc_operator.runtime.kube import Kube
from rvc_operator.runtime.operator import CHILD_SELECTOR, Operator, utc_now

from .upstream import lines

QUICK = {"poll_seconds": 0.2, "retry_seconds": 0.2, "retry_limit_seconds": 1.0}
REOPEN_SECONDS = 0.2


class LocalOperator:
    """An operator of one namespace, behind the API server at a URL."""

    def __init__(
        self,
        url: str,
        authority: str,
        namespace: str,
        now: Callable[[], datetime] = utc_now,
        **settings: Any,
    ) -> None:
        """Settings are those of the configuration; without any, polls and retries are quick."""
        images = ("localhost/rvc-trainer:test", "localhost/rvc-inference:test")
        self._config = Config(*images, namespaces=(namespace,), **(QUICK | settings))
        self._url = url
        self._authority = authority
        self._now = now
        self._signer = Signer(secrets.token_bytes(SEED_BYTES))
        self._life: asyncio.Task[None] | None = None
        self.operator: Operator | None = None

    def start(self) -> None:
        """Start a new one; it then works by itself."""
        self._life = asyncio.create_task(self._live())

    def kill(self) -> None:
        """End it here and now."""
        assert self._life is not None
        self._life.cancel()
        if self.operator is not None:
            self.operator.cancel()

    async def stop(self) -> None:
        """Kill it, and wait until nothing is left of it."""
        if self._life is not None:
            self.kill()
            await asyncio.gather(self._life, return_exceptions=True)

    def log(self) -> str:
        """How it ended, if it did; pytest shows what was logged."""
        return repr(self._life)

    async def _live(self) -> None:
        # The authority is not needed for plain HTTP; reading those of the machine takes 50 ms.
        kube = Kube(Configuration(host=self._url, ssl_ca_cert=self._authority))
        self.operator = Operator(self._config, kube, self._key, self._now, Meters())
        try:
            self.operator.start()
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session:
                await asyncio.gather(*(self._watch(session, self.operator, kind) for kind in Kind))
        finally:
            await self.operator.stop()

    async def _key(self) -> Signer:
        """The same in each of its lives, as from the Secret."""
        return self._signer

    async def _watch(self, session: aiohttp.ClientSession, operator: Operator, kind: Kind) -> None:
        """Watch from now on, which tells all that there is first; again when the connection is lost."""
        path = f"{kind.prefix}/namespaces/{self._config.namespaces[0]}/{kind.plural}"
        query = {"watch": "true"} | ({"labelSelector": CHILD_SELECTOR} if kind.child else {})
        while True:
            try:
                async with session.get(self._url + path, params=query) as answer:
                    answer.raise_for_status()
                    async for line in lines(answer.content):
                        event = json.loads(line)
                        if event["type"] == "ERROR":
                            break
                        operator.observe(kind, event["type"] == "DELETED", event["object"])
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(REOPEN_SECONDS)
