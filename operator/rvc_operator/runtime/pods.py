"""What the operator says to its own pods over HTTP, and hears from them."""

from __future__ import annotations

import logging
from typing import TypeVar

import aiohttp
import msgspec

from rvc import contract
from rvc.contract import ConversionRequest, ConversionState, ConversionStatus, Progress
from rvc_operator.plan.observed import Answer, Silence

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 5.0
PASSING = frozenset({"VoiceLoading", "ShuttingDown"})
"""Reasons of a server that is not ready because it comes or goes."""
T = TypeVar("T")


class ServerUnavailable(Exception):
    """A server did not answer, or not well; worth another try."""


class _Problem(msgspec.Struct):
    reason: str = ""
    message: str = ""


class Pods:
    """HTTP client of trainers and servers, by pod IP."""

    def __init__(self) -> None:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS))

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def progress(self, ip: str) -> Progress | None:
        """How far a trainer is; None if it does not say, which is not worth an error."""
        try:
            async with self._session.get(f"http://{_host(ip)}:{contract.TRAINER_PORT}/progress") as response:
                return _decoded(await response.read(), Progress) if response.status == 200 else None
        except (aiohttp.ClientError, TimeoutError):
            return None

    async def problem(self, ip: str) -> str:
        """Why a server is not ready; empty if it is, is still loading, or does not say."""
        try:
            async with self._session.get(f"http://{_host(ip)}:{contract.SERVER_PORT}/readyz") as response:
                content = await response.read()
        except (aiohttp.ClientError, TimeoutError):
            return ""
        problem = _decoded(content, _Problem) if response.status == 503 else None
        return f"{problem.reason}: {problem.message}" if problem and problem.reason not in PASSING else ""

    async def ask(self, ip: str, uid: str, shard: int) -> Answer:
        """How far a server is with a shard of a conversion."""
        try:
            async with self._session.get(_url(ip, uid, shard)) as response:
                if response.status == 404:
                    return Silence.NOT_FOUND
                status = _decoded(await response.read(), ConversionStatus)
                return status if response.status == 200 and status is not None else Silence.UNREACHABLE
        except (aiohttp.ClientError, TimeoutError):
            return Silence.UNREACHABLE

    async def start(self, ip: str, uid: str, request: ConversionRequest) -> ConversionStatus | None:
        """Give a shard of a conversion to a server, which may have it already.

        None if the server does not take it now. A request that it refuses for good comes back as a failure.
        """
        try:
            async with self._session.put(
                _url(ip, uid, request.shard.index),
                data=contract.encode(request),
                headers={"Content-Type": "application/json"},
            ) as response:
                content = await response.read()
        except (aiohttp.ClientError, TimeoutError):
            return None
        if response.status in (200, 202):
            return _decoded(content, ConversionStatus)
        if response.status not in (400, 409, 413, 422):
            log.warning("server %s answered %s to a conversion", ip, response.status)
            return None
        problem = _decoded(content, _Problem) or _Problem()
        return ConversionStatus(
            state=ConversionState.FAILED,
            reason=problem.reason or "RequestRefused",
            message=problem.message or f"the server refused the request with status {response.status}",
            # Another body under the same uid is there: it is forgotten when the failure is written down.
            retriable=response.status == 409,
        )

    async def stop(self, ip: str, uid: str, shard: int) -> None:
        """Make a server stop and forget a shard of a conversion; raises ServerUnavailable."""
        try:
            async with self._session.delete(_url(ip, uid, shard)) as response:
                if response.status >= 400 and response.status != 404:
                    raise ServerUnavailable(f"server {ip} answered {response.status} to DELETE")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ServerUnavailable(f"server {ip} does not answer: {error!r}") from error


def _url(ip: str, uid: str, shard: int) -> str:
    query = f"?{contract.SHARD_PARAMETER}={shard}" if shard else ""
    return f"http://{_host(ip)}:{contract.SERVER_PORT}/v1/conversions/{uid}{query}"


def _host(ip: str) -> str:
    return f"[{ip}]" if ":" in ip else ip


def _decoded(content: bytes, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.DecodeError as error:
        # An image of another release than the operator's: say so, the status would only look stuck.
        log.warning("a pod's answer is not a %s: %s", kind.__name__, error)
        return None
