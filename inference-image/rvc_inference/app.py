"""The HTTP API: a conversion is put, looked at and deleted under the uid of its Kubernetes object.

Handlers only touch the register, so their answers never wait for audio. Conversions are the operator's alone:
without its proof not even a body is read. `/v1/convert`, for people and programs, is in `direct.py`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Annotated

import msgspec
from fastapi import APIRouter, FastAPI, Path, Query, Request, Response
from fastapi.params import Depends
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.exceptions import HTTPException

from rvc.contract import SHARD_PARAMETER, ConversionRequest, ConversionStatus, encode
from rvc.errors import RvcError
from rvc.proof import Guard
from rvc_inference.answers import (
    ConversionUnknown,
    NotReady,
    RequestInvalid,
    RequestTooLarge,
    answer_error,
    answer_http_exception,
    problem,
)
from rvc_inference.direct import DirectConversions, DirectSettings
from rvc_inference.openapi import CONVERSION_BODY, DIRECT_OPERATION, description
from rvc_inference.readiness import ServedVoice
from rvc_inference.tokens import UserToken
from rvc_inference.worker import Worker

REQUEST_LIMIT_BYTES = 64 * 1024


UID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,127}")
INDEX = re.compile(r"[0-9]{1,3}", re.ASCII)


def checked_uid(uid: Annotated[str, Path()]) -> str:
    """The uid, which becomes part of the names of objects; raises `RequestInvalid` for anything else."""
    if UID.fullmatch(uid) is None:
        raise RequestInvalid("a uid has letters, digits and hyphens, 128 at most")
    return uid


def checked_index(shard: Annotated[str, Query(alias=SHARD_PARAMETER)] = "0") -> int:
    """The index of a shard; raises `RequestInvalid` for anything else."""
    if INDEX.fullmatch(shard) is None:
        raise RequestInvalid(f"{SHARD_PARAMETER} is the index of a shard, from 0")
    return int(shard)


Uid = Annotated[str, Depends(checked_uid)]
Index = Annotated[int, Depends(checked_index)]


def create_app(
    worker: Worker,
    served: ServedVoice,
    registry: CollectorRegistry,
    guard: Guard,
    token: UserToken,
    direct: DirectConversions | None,
) -> FastAPI:
    """The server; its threads start and stop with it."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        worker.start()
        served.start()
        yield
        served.stop()
        await asyncio.to_thread(worker.close)

    app = FastAPI(lifespan=lifespan, openapi_url="/openapi.json", docs_url=None, redoc_url=None)
    app.include_router(conversion_routes(worker, guard))
    app.include_router(direct_routes(served, token, direct))
    app.include_router(operation_routes(worker, served, registry))
    app.openapi = lambda: description(app.routes)  # type: ignore[method-assign]
    app.add_exception_handler(RvcError, answer_error)
    app.add_exception_handler(HTTPException, answer_http_exception)
    return app


def conversion_routes(worker: Worker, guard: Guard) -> APIRouter:
    """`/v1/conversions/<uid>`, with `?shard=<index>` for one of several shards; for the operator."""

    async def proven(request: Request) -> None:
        request.state.claims = guard.check(
            request.headers.get("authorization"), request.method, target(request)
        )

    router = APIRouter(prefix="/v1/conversions", dependencies=[Depends(proven)])

    @router.put("/{uid}", openapi_extra=CONVERSION_BODY)
    async def put(uid: Uid, shard: Index, request: Request) -> Response:
        body = await read_body(request)
        guard.check_body(request.state.claims, body)
        wanted = conversion_request(body)
        if wanted.shard.index != shard:
            raise RequestInvalid(f"shard {wanted.shard.index} is put under the name of shard {shard}")
        status, new = worker.put(uid, wanted)
        return answer(status, HTTPStatus.ACCEPTED if new else HTTPStatus.OK)

    @router.get("/{uid}")
    async def get(uid: Uid, shard: Index) -> Response:
        status = worker.get(uid, shard)
        if status is None:
            raise ConversionUnknown(f"shard {shard} of conversion {uid} is not on this server")
        return answer(status, HTTPStatus.OK)

    @router.delete("/{uid}")
    async def delete(uid: Uid, shard: Index) -> Response:
        if not worker.delete(uid, shard):
            raise ConversionUnknown(f"shard {shard} of conversion {uid} is not on this server")
        return Response(status_code=HTTPStatus.NO_CONTENT)

    return router


def direct_routes(served: ServedVoice, token: UserToken, direct: DirectConversions | None) -> APIRouter:
    """`/v1/convert`, for whoever has the voice's token."""
    router = APIRouter()

    @router.post("/v1/convert", openapi_extra=DIRECT_OPERATION)
    async def convert(request: Request) -> Response:
        token.check(request.headers.get("authorization"))
        settings = read_settings(request)
        readiness = served.readiness
        if readiness.reason or direct is None:
            raise NotReady(
                readiness.message or "this server was started without a voice",
                reason=readiness.reason or "NoVoice",
            )
        return await direct.answer(request, settings)

    return router


def operation_routes(worker: Worker, served: ServedVoice, registry: CollectorRegistry) -> APIRouter:
    """Probes and metrics."""
    router = APIRouter()

    @router.get("/healthz")
    async def healthz() -> Response:
        if worker.defect or not worker.alive:
            message = worker.defect or "the converter thread has ended"
            return problem(HTTPStatus.SERVICE_UNAVAILABLE, "Unhealthy", message)
        return Response("ok\n", media_type="text/plain")

    @router.get("/readyz")
    async def readyz() -> Response:
        readiness = served.readiness
        if readiness.reason:
            return problem(HTTPStatus.SERVICE_UNAVAILABLE, readiness.reason, readiness.message)
        return Response("ok\n", media_type="text/plain")

    @router.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return router


def target(request: Request) -> str:
    """Path and query of a request, as they were sent."""
    path: bytes = request.scope["raw_path"]
    query: bytes = request.scope["query_string"]
    return (path + b"?" + query if query else path).decode("latin-1")


async def read_body(request: Request) -> bytes:
    """The body of a conversion request, of bounded size."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > REQUEST_LIMIT_BYTES:
            raise RequestTooLarge(f"a conversion request has at most {REQUEST_LIMIT_BYTES} bytes")
    return bytes(body)


def conversion_request(body: bytes) -> ConversionRequest:
    """The request that a body holds; raises `RequestInvalid`."""
    try:
        return msgspec.json.decode(body, type=ConversionRequest)
    except msgspec.MsgspecError as error:
        raise RequestInvalid(
            f"no conversion request of this version: {error}; operator and server image must be of the same "
            "release"
        ) from error


def read_settings(request: Request) -> DirectSettings:
    """The query of a direct conversion; raises `RequestInvalid`."""
    if request.headers.get("content-type", "").startswith("multipart/"):
        raise RequestInvalid("the body is the recording itself, not a form: curl --data-binary @FILE")
    given = request.query_params.multi_items()
    query = dict(given)
    if len(query) < len(given):
        raise RequestInvalid("a parameter is there twice")
    try:
        return msgspec.convert(query, DirectSettings, strict=False)
    except msgspec.ValidationError as error:
        raise RequestInvalid(f"the query is not one of a conversion: {error}") from error


def answer(status: ConversionStatus, code: HTTPStatus) -> Response:
    """The status of a conversion as a response."""
    return Response(encode(status), status_code=code, media_type="application/json")
