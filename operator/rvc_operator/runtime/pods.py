"""What the operator says to its own pods over HTTP, with proof that it is it, and hears from them."""

from __future__ import annotations

import logging
import time
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, TypeVar

import aiohttp
import msgspec

from rvc import contract
from rvc.contract import ConversionRequest, ConversionState, ConversionStatus, Progress
from rvc.proof import Signer
from rvc_operator.plan.observed import Answer, Silence

from .silence import Silences

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 5.0
PASSING = frozenset({"VoiceLoading", "ShuttingDown"})
"""Reasons of a server that is not ready because it comes or goes."""
T = TypeVar("T")


class Peer(NamedTuple):
    """A pod as it is spoken to; another one that has its address by now refuses what is said to its uid."""

    ip: str
    uid: str


class ServerUnavailable(Exception):
    """A server did not answer, or not well; worth another try."""


class _Problem(msgspec.Struct):
    reason: str = ""
    message: str = ""


class Pods:
    """HTTP client of trainers and servers."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self.silences = Silences(time.monotonic)
        """Of trainers."""
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS))

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def progress(self, trainer: Peer) -> Progress | None:
        """How far a trainer is; None if it does not say, which is not worth an error."""
        try:
            async with self._proven("GET", trainer, contract.TRAINER_PORT, "/progress") as response:
                content = await response.read()
        except (aiohttp.ClientError, TimeoutError):
            self.silences.missed(trainer.uid)
            return None
        self.silences.answered(trainer.uid)
        return _decoded(content, Progress) if response.status == 200 else None

    async def problem(self, ip: str) -> str:
        """Why a server is not ready; empty if it is, is still loading, or does not say."""
        try:
            async with self._session.get(f"http://{_host(ip)}:{contract.SERVER_PORT}/readyz") as response:
                content = await response.read()
        except (aiohttp.ClientError, TimeoutError):
            return ""
        problem = _decoded(content, _Problem) if response.status == 503 else None
        return f"{problem.reason}: {problem.message}" if problem and problem.reason not in PASSING else ""

    async def ask(self, server: Peer, uid: str, shard: int) -> Answer:
        """How far a server is with a shard of a conversion."""
        try:
            async with self._proven("GET", server, contract.SERVER_PORT, _target(uid, shard)) as response:
                if response.status == 404:
                    return Silence.NOT_FOUND
                status = _decoded(await response.read(), ConversionStatus)
                return status if response.status == 200 and status is not None else Silence.UNREACHABLE
        except (aiohttp.ClientError, TimeoutError):
            return Silence.UNREACHABLE

    async def start(self, server: Peer, uid: str, request: ConversionRequest) -> ConversionStatus | None:
        """Give a shard of a conversion to a server, which may have it already.

        None if the server does not take it now. A request that it refuses for good comes back as a failure.
        """
        try:
            target, body = _target(uid, request.shard.index), contract.encode(request).encode()
            async with self._proven("PUT", server, contract.SERVER_PORT, target, body) as response:
                content = await response.read()
        except (aiohttp.ClientError, TimeoutError):
            return None
        if response.status in (200, 202):
            return _decoded(content, ConversionStatus)
        if response.status not in (400, 409, 413, 422):
            log.warning("server %s answered %s to a conversion", server.ip, response.status)
            return None
        problem = _decoded(content, _Problem) or _Problem()
        return ConversionStatus(
            state=ConversionState.FAILED,
            reason=problem.reason or "RequestRefused",
            message=problem.message or f"the server refused the request with status {response.status}",
            # Another body under the same uid is there: it is forgotten when the failure is written down.
            retriable=response.status == 409,
        )

    async def stop(self, server: Peer, uid: str, shard: int) -> None:
        """Make a server stop and forget a shard of a conversion; raises ServerUnavailable."""
        try:
            async with self._proven("DELETE", server, contract.SERVER_PORT, _target(uid, shard)) as response:
                if response.status >= 400 and response.status != 404:
                    raise ServerUnavailable(f"server {server.ip} answered {response.status} to DELETE")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ServerUnavailable(f"server {server.ip} does not answer: {error!r}") from error

    def _proven(
        self, method: str, peer: Peer, port: int, target: str, body: bytes = b""
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        headers = {"Authorization": self._signer.authorization(peer.uid, method, target, body, time.time())}
        if body:
            headers["Content-Type"] = "application/json"
        url = f"http://{_host(peer.ip)}:{port}{target}"
        return self._session.request(method, url, data=body or None, headers=headers)


def _target(uid: str, shard: int) -> str:
    query = f"?{contract.SHARD_PARAMETER}={shard}" if shard else ""
    return f"/v1/conversions/{uid}{query}"


def _host(ip: str) -> str:
    return f"[{ip}]" if ":" in ip else ip


def _decoded(content: bytes, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.DecodeError as error:
        # An image of another release than the operator's: say so, the status would only look stuck.
        log.warning("a pod's answer is not a %s: %s", kind.__name__, error)
        return None
