"""What the server answers when it does not do what it was asked: one table from errors to statuses.

Every such answer has the body `{"reason", "message"}`.
"""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from fastapi import Request, Response
from starlette.exceptions import HTTPException

from rvc.errors import (
    AcceleratorError,
    InvalidAudio,
    InvalidConfiguration,
    RvcError,
    StoreUnavailable,
    Terminated,
)
from rvc.proof import SCHEME, ProofRefused
from rvc_inference.direct import Busy, RecordingTooLarge, UploadTooSlow
from rvc_inference.tokens import SCHEME as USER_SCHEME
from rvc_inference.tokens import DirectConversionOff, TokenRefused
from rvc_inference.worker import Conflict, ShuttingDown


class RequestInvalid(RvcError):
    """The request is none of this API."""

    reason = "RequestInvalid"


class RequestTooLarge(RvcError):
    """The body is longer than any conversion needs."""

    reason = "RequestTooLarge"


class NotReady(RvcError):
    """The voice is not loaded; the reason is that of `/readyz`."""


class ConversionUnknown(RvcError):
    """No conversion has that uid here."""

    reason = "ConversionUnknown"


STATUSES: dict[type[RvcError], HTTPStatus] = {
    ProofRefused: HTTPStatus.UNAUTHORIZED,
    RequestInvalid: HTTPStatus.BAD_REQUEST,
    RequestTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    ConversionUnknown: HTTPStatus.NOT_FOUND,
    Conflict: HTTPStatus.CONFLICT,
    ShuttingDown: HTTPStatus.SERVICE_UNAVAILABLE,
    TokenRefused: HTTPStatus.UNAUTHORIZED,
    DirectConversionOff: HTTPStatus.FORBIDDEN,
    NotReady: HTTPStatus.SERVICE_UNAVAILABLE,
    Busy: HTTPStatus.SERVICE_UNAVAILABLE,
    RecordingTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UploadTooSlow: HTTPStatus.REQUEST_TIMEOUT,
    InvalidAudio: HTTPStatus.UNPROCESSABLE_ENTITY,
    InvalidConfiguration: HTTPStatus.BAD_REQUEST,
    AcceleratorError: HTTPStatus.SERVICE_UNAVAILABLE,
    StoreUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    Terminated: HTTPStatus.SERVICE_UNAVAILABLE,
}
RETRY_AFTER_SECONDS = 5


def problem(code: HTTPStatus, reason: str, message: str) -> Response:
    """An error as a response."""
    body = msgspec.json.encode({"reason": reason, "message": message})
    return Response(body, status_code=code, media_type="application/json")


async def answer_error(_: Request, error: Exception) -> Response:
    """Response for one of our errors."""
    assert isinstance(error, RvcError), "registered for RvcError"
    code = next(
        (code for kind, code in STATUSES.items() if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR
    )
    response = problem(code, error.reason, str(error))
    if code is HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = SCHEME if isinstance(error, ProofRefused) else USER_SCHEME
    if code is HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


async def answer_http_exception(_: Request, error: Exception) -> Response:
    """Response for what the framework refuses: unknown paths, methods."""
    assert isinstance(error, HTTPException), "registered for HTTPException"
    code = HTTPStatus(error.status_code)
    return problem(code, "".join(code.phrase.title().split()), error.detail)
