"""The one table from what can go wrong with OSS to what it means and what a person does about it.

Codes are those of OSS's documentation; a code that is not in the table is judged by its HTTP status. No
message quotes the server's text or the request: they may hold tokens and canonical requests.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from typing import Any
from xml.etree.ElementTree import ParseError

import oss2
import requests
import urllib3

from rvc.errors import (
    InvalidConfiguration,
    ObjectExists,
    ObjectNotFound,
    PermissionDenied,
    RvcError,
    StoreUnavailable,
)

SHORT_SECONDS = 60.0
"""Patience with what is more likely a mistake than an outage."""


class Kind(Enum):
    """What a failure means."""

    RETRIABLE = auto()
    SKEWED = auto()
    """Retriable with the server's clock."""
    CREDENTIALS = auto()
    """Retriable with other keys, if there are others; else a matter of permission."""
    CHANGED = auto()
    """The object is another one since the download began."""
    UPLOAD_GONE = auto()
    """The multipart upload was completed or swept."""
    PERMISSION = auto()
    MISSING = auto()
    EXISTS = auto()
    FINAL = auto()


class Changed(StoreUnavailable):
    """The object became another one while it was read."""


class UploadGone(StoreUnavailable):
    """Somebody ended the multipart upload."""


_ERRORS: dict[Kind, type[RvcError]] = {
    Kind.RETRIABLE: StoreUnavailable,
    Kind.SKEWED: StoreUnavailable,
    Kind.CREDENTIALS: PermissionDenied,
    Kind.CHANGED: Changed,
    Kind.UPLOAD_GONE: UploadGone,
    Kind.PERMISSION: PermissionDenied,
    Kind.MISSING: ObjectNotFound,
    Kind.EXISTS: ObjectExists,
    Kind.FINAL: InvalidConfiguration,
}


@dataclass(frozen=True)
class Meaning:
    """A line of the table."""

    kind: Kind
    what: str
    advice: str
    reason: str | None = None
    """Where it is not that of the error's type."""
    patience_seconds: float = math.inf


@dataclass(frozen=True)
class Failure(Meaning):
    """What went wrong with one request."""

    code: str = ""
    """OSS's own, or the type of a network error."""
    request_id: str = ""
    retry_after_seconds: float = 0.0
    server_time: float | None = None
    """Unix time."""

    def error(self, uri: str) -> RvcError:
        """As an error of ours about the object, prefix or bucket `uri`."""
        source = ", ".join(filter(None, (self.code, self.request_id and f"request {self.request_id}")))
        text = f"{uri}: {self.what}; {self.advice}" + (f" ({source})" if source else "")
        return _ERRORS[self.kind](text, reason=self.reason)


class Trouble(Exception):
    """A failure that we noticed ourselves in an answer that looked good."""

    def __init__(self, meaning: Meaning) -> None:
        super().__init__(meaning.what)
        self.meaning = meaning


_KEYS = (
    "correct akId and akSecret in the Secret of spec.storage.secretRef, or the role of the service account"
)
_RIGHTS = "grant its RAM user or role what manifests/ram lists, for this bucket and prefix"
_AGAIN = "it is tried again; look at OSS's status page if this goes on"
_SLOWER = "it is tried again; ask Alibaba for a higher limit if this goes on"
_URI = "correct the URI"

_THROTTLED = Meaning(Kind.RETRIABLE, "OSS throttles us", _SLOWER)
_BROKEN = Meaning(Kind.RETRIABLE, "OSS has trouble of its own", _AGAIN)
_REFUSED = Meaning(Kind.PERMISSION, "OSS refuses access", _RIGHTS)
_WRONG_KEYS = Meaning(Kind.CREDENTIALS, "OSS does not accept the access key", _KEYS)
_EXPIRED = Meaning(Kind.CREDENTIALS, "the session of the access key has ended", _KEYS)
_NOT_THERE = Meaning(Kind.MISSING, "it does not exist", "put it there or correct the URI")
_EXISTS = Meaning(
    Kind.EXISTS,
    "it is there already with other content and is never overwritten",
    "choose another place or remove it first",
)
_CHANGED = Meaning(Kind.CHANGED, "it was written over while it was read", _AGAIN)
_DAMAGED = Meaning(
    Kind.RETRIABLE,
    "what arrived at OSS was not what was sent",
    "it is tried again; look at the network, its proxies and the memory of the node if this goes on",
    patience_seconds=SHORT_SECONDS,
)
NO_KEYS = Meaning(
    Kind.RETRIABLE,
    "STS, which gives the keys of the pod's role, does not answer",
    "in a VPC without a way to the internet set ALIBABA_CLOUD_STS_REGION and "
    "ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED=true",
)
MISMATCH = Meaning(
    Kind.RETRIABLE,
    "OSS holds other content than was sent, by its checksum",
    _DAMAGED.advice,
    patience_seconds=SHORT_SECONDS,
)
PARTIAL = Meaning(Kind.RETRIABLE, "the answer broke off", _AGAIN)
WRONG_RANGE = Meaning(Kind.CHANGED, "OSS answered with another range than was asked for", _AGAIN)
_BAD_NAME = Meaning(Kind.FINAL, "OSS does not take the name", "choose another name")
_NO_OSS = Meaning(
    Kind.FINAL,
    "what answers at the endpoint is not OSS",
    "correct spec.storage.endpoint and spec.storage.region",
)
_UNCLEAR = Meaning(Kind.FINAL, "OSS does not accept the request", "see its documentation of this code")

_BY_CODE: dict[str, Meaning] = {
    "NoSuchKey": _NOT_THERE,
    "SymlinkTargetNotExist": _NOT_THERE,
    "NoSuchUpload": Meaning(Kind.UPLOAD_GONE, "its multipart upload was ended by somebody else", _AGAIN),
    "NoSuchBucket": Meaning(
        Kind.FINAL, "the bucket does not exist", "create it or correct the URI", reason="BucketNotFound"
    ),
    "FileAlreadyExists": _EXISTS,
    "ObjectAlreadyExists": _EXISTS,
    "FileImmutable": Meaning(
        Kind.PERMISSION, "a retention policy protects it", "choose another place, or wait until it ends"
    ),
    "AccessDenied": _REFUSED,
    "UserDisable": Meaning(
        Kind.PERMISSION, "OSS is closed for this account", "settle its bills or ask Alibaba"
    ),
    "InvalidAccessKeyId": _WRONG_KEYS,
    "SignatureDoesNotMatch": _WRONG_KEYS,
    "InvalidSecurityToken": _WRONG_KEYS,
    "SecurityTokenNotSupported": _WRONG_KEYS,
    "SecurityTokenExpired": _EXPIRED,
    "RequestTimeTooSkewed": Meaning(
        Kind.SKEWED,
        "this node's clock is more than 15 minutes wrong",
        "set it, or run the pod on another node",
        reason="ClockSkewed",
    ),
    "InvalidObjectState": Meaning(
        Kind.FINAL, "it is archived", "restore it in OSS first", reason="ObjectArchived"
    ),
    "InvalidBucketName": Meaning(Kind.FINAL, "the bucket's name is none", _URI),
    "InvalidObjectName": _BAD_NAME,
    "KeyTooLongError": _BAD_NAME,
    "SecondLevelDomainForbidden": Meaning(
        Kind.FINAL, "OSS wants the bucket in the host name", "unset RVC_OSS_PATH_STYLE"
    ),
    "InvalidDigest": _DAMAGED,
    "BadDigest": _DAMAGED,
    "InvalidPart": _DAMAGED,
    "RequestTimeout": Meaning(Kind.RETRIABLE, "the request took too long", _AGAIN),
    "SlowDown": _THROTTLED,
    "QpsLimitExceeded": _THROTTLED,
    "TotalQpsLimitExceeded": _THROTTLED,
    "MetaOperationQpsLimitExceeded": _THROTTLED,
    "DownloadTrafficRateLimitExceeded": _THROTTLED,
    "UploadTrafficRateLimitExceeded": _THROTTLED,
    "InternalError": _BROKEN,
    "ServiceUnavailable": _BROKEN,
}
_BY_STATUS: dict[int, Meaning] = {
    401: _REFUSED,
    403: _REFUSED,
    404: _NOT_THERE,
    408: _BROKEN,
    409: Meaning(Kind.RETRIABLE, "somebody else writes it", _AGAIN, patience_seconds=SHORT_SECONDS),
    412: _CHANGED,
    416: _CHANGED,
    429: _THROTTLED,
    503: _THROTTLED,
}
_BY_TYPE: tuple[tuple[type[Exception], Meaning], ...] = (
    (
        urllib3.exceptions.NameResolutionError,
        Meaning(
            Kind.RETRIABLE,
            "the host name of the endpoint is not known",
            "correct spec.storage.endpoint and spec.storage.region",
            patience_seconds=SHORT_SECONDS,
        ),
    ),
    (
        requests.exceptions.SSLError,
        Meaning(
            Kind.RETRIABLE,
            "the endpoint's certificate is not accepted",
            "correct spec.storage.endpoint, or write http:// for one without TLS",
            patience_seconds=SHORT_SECONDS,
        ),
    ),
    (
        requests.exceptions.ConnectTimeout,
        Meaning(
            Kind.RETRIABLE,
            "the endpoint cannot be reached",
            "an -internal endpoint answers in its region only; elsewhere set spec.storage.endpoint to the "
            "public one",
        ),
    ),
    (requests.exceptions.Timeout, Meaning(Kind.RETRIABLE, "OSS did not answer in time", _AGAIN)),
    (
        requests.exceptions.InvalidURL,
        Meaning(Kind.FINAL, "the endpoint is no address", "correct spec.storage.endpoint"),
    ),
    (requests.exceptions.ConnectionError, Meaning(Kind.RETRIABLE, "the connection failed", _AGAIN)),
    (requests.exceptions.RequestException, PARTIAL),
    (urllib3.exceptions.HTTPError, PARTIAL),
    (ConnectionError, Meaning(Kind.RETRIABLE, "the connection failed", _AGAIN)),
    (
        ParseError,
        Meaning(Kind.RETRIABLE, "the answer is not OSS's", _NO_OSS.advice, patience_seconds=SHORT_SECONDS),
    ),
)

FOREIGN_ERRORS = (oss2.exceptions.OssError, Trouble, *(kind for kind, _ in _BY_TYPE))
"""What a request may raise and this table knows."""


def failure_of(error: Exception) -> Failure:
    """What an error that a request raised means."""
    if isinstance(error, Trouble):
        return _failure(error.meaning)
    if isinstance(error, oss2.exceptions.RequestError):
        error = error.exception
    elif isinstance(error, oss2.exceptions.OssError):
        return _from_answer(error)
    while isinstance(error, requests.exceptions.ConnectionError) and (inner := _inner(error)) is not None:
        error = inner
    meaning = next((meaning for kind, meaning in _BY_TYPE if isinstance(error, kind)), PARTIAL)
    return _failure(meaning, code=type(error).__name__)


def _from_answer(error: Any) -> Failure:
    """For an answer that says no (an `OssError`, untyped)."""
    if error.status < 0:
        return _failure(_UNCLEAR, code=f"{type(error).__name__}: {error.body}"[:200])
    meaning = _BY_CODE.get(error.code) or _BY_STATUS.get(error.status)
    if meaning is None:
        meaning = _BROKEN if error.status >= 500 else _UNCLEAR
    if error.status < 500 and not error.code and not error.request_id:
        meaning = _NO_OSS
    if endpoint := error.details.get("Endpoint"):
        meaning = Meaning(
            Kind.FINAL,
            "the bucket is in another region",
            f"set spec.storage.endpoint to {endpoint} and the region",
        )
    return _failure(
        meaning,
        code=error.code or f"HTTP {error.status}",
        request_id=error.request_id,
        retry_after_seconds=_seconds(error.headers.get("Retry-After")),
        server_time=_time(error.headers.get("Date")),
    )


def _failure(meaning: Meaning, **details: Any) -> Failure:
    return Failure(
        meaning.kind, meaning.what, meaning.advice, meaning.reason, meaning.patience_seconds, **details
    )


def _inner(error: requests.exceptions.ConnectionError) -> Exception | None:
    """The failed look-up of a name, which requests wraps twice."""
    for wrapped in error.args:
        reason = getattr(wrapped, "reason", None)
        if isinstance(reason, urllib3.exceptions.NameResolutionError):
            return reason
    return None


def _seconds(text: str | None) -> float:
    return float(text) if text and text.isdecimal() else 0.0


def _time(text: str | None) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except ValueError:
        return None
