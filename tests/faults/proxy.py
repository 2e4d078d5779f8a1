"""A proxy before the real API server, which does to requests what a test says.

The operator talks plain HTTP to the proxy, the proxy TLS to the API server, with the administrator's
certificate. Every request is shown to `choose`, which may return a fault; a fault is a coroutine function
that answers in the proxy's place. Connections that are open already are reached by `mute_watches` and `cut`.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from aiohttp import web

from .upstream import Upstream, lines

HOST = "127.0.0.1"
WRITES = ("POST", "PUT", "PATCH", "DELETE")
NOT_FORWARDED = frozenset(
    {"host", "connection", "keep-alive", "transfer-encoding", "content-length", "authorization", "upgrade"}
)


@dataclass(frozen=True)
class Asked:
    """One request, as it is counted."""

    method: str
    path: str
    query: Mapping[str, str]
    write: int = 0
    """Its number among the requests that change something, from 1; 0 for all others."""

    @property
    def watch(self) -> bool:
        """Whether it is to stay open, for news."""
        return self.query.get("watch") == "true"

    def __str__(self) -> str:
        """For messages of failed tests."""
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Answer:
    """The API server's answer, or one in its place."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def response(self) -> web.Response:
        """The same for the operator."""
        return web.Response(status=self.status, headers=dict(self.headers), body=self.body)


class Dropped(Exception):
    """The connection is to be cut; there is no answer."""


class Exchange:
    """A request that a fault has in its hands."""

    def __init__(self, proxy: "FaultProxy", request: web.Request, asked: Asked) -> None:
        self.proxy = proxy
        self.request = request
        self.asked = asked

    async def forward(self) -> Answer:
        """Do what is asked, and return how it was answered."""
        request, headers = self.request, _forwarded(self.request.headers)
        body = await request.read()
        async with self.proxy.upstream.open(request.method, request.raw_path, headers, body) as answer:
            return Answer(answer.status, _forwarded(answer.headers), await answer.read())

    async def stream(
        self, change: Callable[[AsyncIterator[bytes]], AsyncIterator[bytes]]
    ) -> web.StreamResponse:
        """Open the watch, and pass its events on as `change` makes them."""
        request = self.request
        async with self.proxy.upstream.open("GET", request.raw_path, _forwarded(request.headers)) as answer:
            response = web.StreamResponse(status=answer.status, headers=_forwarded(answer.headers))
            await response.prepare(request)
            async for line in change(self.proxy.unless_muted(lines(answer.content))):
                await response.write(line)
            await response.write_eof()
            return response


Fault = Callable[[Exchange], Awaitable[web.StreamResponse]]


@dataclass
class FaultProxy:
    """Listens on a port of its own, also while it refuses connections and after."""

    upstream: Upstream
    choose: Callable[[Asked], Fault | None] = lambda asked: None
    """What happens to a request; None: what should."""
    asked: list[Asked] = field(default_factory=list)
    """All requests that came in."""
    port: int = 0
    _writes: int = 0
    _runner: web.AppRunner | None = None
    _open: set[asyncio.Transport] = field(default_factory=set)
    _muted: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        """Where the operator finds its API server."""
        return f"http://{HOST}:{self.port}"

    @property
    def writes(self) -> list[Asked]:
        """All requests that change something, in the order in which they came."""
        return [asked for asked in self.asked if asked.write]

    async def start(self) -> None:
        """Take connections, on the same port each time."""
        application = web.Application(client_max_size=2**26)
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Cut all connections and refuse others."""
        for transport in self._open:
            transport.abort()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def mute_watches(self) -> None:
        """From now on, watches that are open say nothing any more, and stay open."""
        self._muted.set()
        self._muted = asyncio.Event()

    def cut(self) -> None:
        """Cut every connection that there is, those of watches among them."""
        for transport in self._open:
            transport.abort()

    async def unless_muted(self, events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The events until the watches of that moment are muted; then none, and no end."""
        muted = self._muted
        async for event in events:
            if muted.is_set():
                await asyncio.Event().wait()
            yield event

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        transport = request.transport
        if transport is None:
            raise Dropped
        self._open.add(transport)
        exchange = Exchange(self, request, self._count(request))
        fault = self.choose(exchange.asked) or as_it_is
        try:
            return await fault(exchange)
        except (Dropped, OSError):
            transport.abort()
            return web.Response()
        finally:
            self._open = {each for each in self._open if not each.is_closing()}

    def _count(self, request: web.Request) -> Asked:
        writes = request.method in WRITES
        self._writes += writes
        asked = Asked(request.method, request.path, dict(request.query), self._writes if writes else 0)
        self.asked.append(asked)
        return asked


async def as_it_is(exchange: Exchange) -> web.StreamResponse:
    """No fault at all."""
    if exchange.asked.watch:
        return await exchange.stream(lambda events: events)
    return (await exchange.forward()).response()


def refuse(status: int, reason: str, headers: Mapping[str, str] | None = None) -> Fault:
    """Answer as an API server that does not want."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": status}

    async def fault(exchange: Exchange) -> web.StreamResponse:
        return web.json_response(body | {"message": f"a fault: {reason}"}, status=status, headers=headers)

    return fault


async def drop(exchange: Exchange) -> web.StreamResponse:
    """Cut the connection before anything is done."""
    raise Dropped


async def lose_answer(exchange: Exchange) -> web.StreamResponse:
    """Do what is asked, and cut the connection instead of saying so."""
    await exchange.forward()
    raise Dropped


async def cut_answer(exchange: Exchange) -> web.StreamResponse:
    """Do what is asked, and cut the connection in the middle of the answer."""
    answer = await exchange.forward()
    response = web.StreamResponse(status=answer.status, headers=dict(answer.headers))
    response.content_length = len(answer.body)
    await response.prepare(exchange.request)
    await response.write(answer.body[: len(answer.body) // 2])
    raise Dropped


async def stay_mute(exchange: Exchange) -> web.StreamResponse:
    """Open a watch on which nothing ever comes."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(exchange.request)
    await asyncio.Event().wait()
    return response


async def say_gone(exchange: Exchange) -> web.StreamResponse:
    """Open a watch and tell at once that its resource version is too old."""
    status = {
        "kind": "Status",
        "status": "Failure",
        "reason": "Expired",
        "code": 410,
        "message": "a fault: too old",
    }
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(exchange.request)
    await response.write(json.dumps({"type": "ERROR", "object": status}).encode() + b"\n")
    await response.write_eof()
    return response


def late(seconds: float) -> Fault:
    """Do what is asked, late."""

    async def fault(exchange: Exchange) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return await as_it_is(exchange)

    return fault


def repeat_events(times: int) -> Fault:
    """Tell every event of a watch so many times."""

    async def repeated(events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for event in events:
            for _ in range(times):
                yield event

    return lambda exchange: exchange.stream(repeated)


def reorder_events(held: int) -> Fault:
    """Tell every event of a watch, and again after `held` others have come: old news that look new."""

    async def reordered(events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        late: list[bytes] = []
        async for event in events:
            yield event
            late.append(event)
            if len(late) > held:
                yield late.pop(0)

    return lambda exchange: exchange.stream(reordered)


def _forwarded(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in NOT_FORWARDED}
