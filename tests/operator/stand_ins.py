"""Trainers and servers that speak the contract over real sockets, and do as a test says.

They listen on loopback addresses of their own, on the contract's port, as pods do on their IPs.
"""

import os
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import msgspec
from aiohttp import web

from rvc import contract
from rvc.contract import ConversionRequest, ConversionState, ConversionStatus, FileCounts, Progress, Stage
from rvc.proof import Guard, ProofRefused

A_LITTLE_PROGRESS = Progress(Stage.TRAINING, progress_percentage=10, epoch=1, total_epochs=30)
ONE_FILE_CONVERTED = ConversionStatus(
    ConversionState.FINISHED,
    files=FileCounts(total=1, succeeded=1),
    results_uri="pvc://voices/results.json",
)

_numbers = count(2)


def free_address() -> str:
    """A loopback address that no other pod of this process has; other processes get other networks."""
    number, network = next(_numbers), os.getpid() % 250 + 2
    return f"127.{network}.{number // 250}.{number % 250 + 2}"


@dataclass
class StandIn:
    """A pod's HTTP server."""

    ip: str = field(default_factory=free_address)
    guard: Guard | None = None
    """Whose proof it asks for; None: nobody's."""
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of everything that was asked."""
    _runner: web.AppRunner | None = None

    async def start(self) -> None:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.ip, contract.SERVER_PORT, reuse_address=True).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _handle(self, request: web.Request) -> web.Response:
        self.requests.append((request.method, request.path_qs))
        if self.guard is not None and request.path != "/readyz":
            try:
                header = request.headers.get("Authorization")
                claims = self.guard.check(header, request.method, request.raw_path)
                self.guard.check_body(claims, await request.read())
            except ProofRefused as error:
                return web.json_response({"reason": error.reason, "message": str(error)}, status=401)
        return await self.answer(request)

    async def answer(self, request: web.Request) -> web.Response:
        raise NotImplementedError


@dataclass
class Trainer(StandIn):
    """A trainer that is where the test says."""

    progress: Progress = A_LITTLE_PROGRESS

    async def answer(self, request: web.Request) -> web.Response:
        if (request.method, request.path) == ("GET", "/progress"):
            return _json(self.progress)
        return web.Response(status=404)


@dataclass
class Behaviour:
    """What servers make of their conversions."""

    outcome: ConversionStatus | None = ONE_FILE_CONVERTED
    """What they say on the first GET after the PUT; None: they stay at work."""
    corrupt: bool = False
    """Whether they refuse to load the voice, and so never become ready."""
    loading: bool = False
    """Whether they go on loading the voice."""
    refusal: int = 0
    """Status with which every PUT is refused, 0 for none."""
    deaf: bool = False
    """Whether they fail to stop what they are told to."""


@dataclass
class Server(StandIn):
    """An inference server."""

    behaviour: Behaviour = field(default_factory=Behaviour)
    known: dict[str, ConversionRequest] = field(default_factory=dict)

    async def answer(self, request: web.Request) -> web.Response:
        if request.path == "/readyz":
            return self._readiness()
        uid = request.path_qs.removeprefix("/v1/conversions/")
        if request.method == "PUT":
            wanted = msgspec.json.decode(await request.read(), type=ConversionRequest)
            if self.behaviour.refusal:
                problem = {"reason": "RequestRefused", "message": "the stand-in refuses"}
                return web.json_response(problem, status=self.behaviour.refusal)
            repeated = uid in self.known
            if self.known.setdefault(uid, wanted) != wanted:
                return web.json_response({"reason": "Other", "message": "another request"}, status=409)
            return _json(ConversionStatus(ConversionState.QUEUED), 200 if repeated else 202)
        if uid not in self.known:
            return web.json_response({"reason": "NotFound", "message": "unknown"}, status=404)
        if request.method == "DELETE":
            if self.behaviour.deaf:
                return web.json_response({"reason": "InternalError", "message": "not now"}, status=500)
            del self.known[uid]
            return web.Response(status=204)
        running = ConversionStatus(ConversionState.RUNNING, files=FileCounts(total=1))
        return _json(self.behaviour.outcome or running)

    def _readiness(self) -> web.Response:
        if self.behaviour.loading:
            return web.json_response({"reason": "VoiceLoading", "message": "loading"}, status=503)
        problem = {"reason": "ArtifactCorrupt", "message": "index.faiss is not what the manifest says"}
        return web.json_response(problem, status=503) if self.behaviour.corrupt else web.Response()


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=contract.encode(value), status=status, content_type="application/json")
