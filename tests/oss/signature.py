"""Signatures of version 4, checked as OSS does: in the Authorization header, or in a presigned URL."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, unquote, unquote_plus

from tests.oss.errors import OssError

ALGORITHM = "OSS4-HMAC-SHA256"
SKEW_SECONDS = 900
LONGEST_LINK_SECONDS = 7 * 24 * 3600
_ALWAYS_SIGNED = ("content-type", "content-md5")
_FIELD = re.compile(r"(Credential|AdditionalHeaders|Signature)=([^,\s]+)")


@dataclass(frozen=True)
class Account:
    """An access key that the server knows."""

    secret: str
    token: str = ""
    """Security token of a session; requests must carry it."""
    expires: float = float("inf")
    """Unix time when the session ends."""
    allows: Callable[[str, str], bool] = lambda operation, key: True
    """Its policy: whether an operation, such as GetObject, on a key or prefix is allowed."""


@dataclass(frozen=True)
class Request:
    """What is signed of a request."""

    method: str
    bucket: str
    key: str
    query: str
    """As it came, without the question mark."""
    headers: Mapping[str, str]
    """Names in lower case."""


@dataclass(frozen=True)
class _Claim:
    key_id: str
    date: str
    region: str
    product: str
    stamp: str
    additional: tuple[str, ...]
    signature: str
    token: str
    lifetime_seconds: int | None


def authenticate(
    request: Request, accounts: Mapping[str, Account], region: str, now: float
) -> tuple[str, Account]:
    """The access key that signed a request, and its account; raises `OssError` as OSS answers."""
    parameters = parameters_of(request.query)
    claim = _presigned(parameters) if "x-oss-signature" in parameters else _from_header(request.headers)
    account = accounts.get(claim.key_id)
    if account is None:
        raise OssError(
            403, "InvalidAccessKeyId", "The OSS Access Key Id you provided does not exist in our records."
        )
    if claim.region != region or claim.product != "oss":
        raise OssError(403, "SignatureDoesNotMatch", f"Invalid credential scope: region {claim.region}.")
    _check_time(claim, now)
    if claim.token != account.token:
        raise OssError(403, "InvalidSecurityToken", "The security token you provided is invalid.")
    if now >= account.expires:
        raise OssError(403, "SecurityTokenExpired", "The security token you provided has expired.")
    if not hmac.compare_digest(_signature(request, claim, account.secret), claim.signature):
        raise OssError(
            403,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. Check your key "
            "and signing method.",
        )
    return claim.key_id, account


def parameters_of(query: str) -> dict[str, str]:
    """Decoded parameters of a query; the value of `?acl` is empty."""
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    return {unquote_plus(name): unquote_plus(value) for name, _, value in pairs}


def _from_header(headers: Mapping[str, str]) -> _Claim:
    text = headers.get("authorization", "")
    if not text:
        raise OssError(403, "AccessDenied", "Anonymous access is forbidden for this operation.")
    algorithm, _, rest = text.partition(" ")
    fields = dict(_FIELD.findall(rest))
    if algorithm != ALGORITHM:
        raise OssError(400, "InvalidArgument", f"This server takes signatures of version 4, not {algorithm}.")
    if headers.get("x-oss-content-sha256") != "UNSIGNED-PAYLOAD":
        raise OssError(400, "InvalidArgument", "x-oss-content-sha256 must be UNSIGNED-PAYLOAD.")
    return _claim(fields.get("Credential", ""), fields, headers, None)


def _presigned(parameters: Mapping[str, str]) -> _Claim:
    if parameters.get("x-oss-signature-version") != ALGORITHM:
        raise OssError(400, "InvalidArgument", "x-oss-signature-version must be OSS4-HMAC-SHA256.")
    lifetime = parameters.get("x-oss-expires", "")
    if not lifetime.isdecimal() or int(lifetime) > LONGEST_LINK_SECONDS:
        raise OssError(403, "AccessDenied", "x-oss-expires must be at most 604800 seconds.")
    fields = {
        "AdditionalHeaders": parameters.get("x-oss-additional-headers", ""),
        "Signature": parameters["x-oss-signature"],
    }
    return _claim(parameters.get("x-oss-credential", ""), fields, parameters, int(lifetime))


def _claim(
    credential: str, fields: Mapping[str, str], source: Mapping[str, str], lifetime: int | None
) -> _Claim:
    parts = credential.split("/")
    stamp = source.get("x-oss-date", "")
    if len(parts) != 5 or parts[4] != "aliyun_v4_request" or stamp[:8] != parts[1]:
        raise OssError(400, "InvalidArgument", "The credential's scope is malformed.")
    return _Claim(
        key_id=parts[0],
        date=parts[1],
        region=parts[2],
        product=parts[3],
        stamp=stamp,
        additional=tuple(filter(None, fields.get("AdditionalHeaders", "").split(";"))),
        signature=fields.get("Signature", ""),
        token=source.get("x-oss-security-token", ""),
        lifetime_seconds=lifetime,
    )


def _check_time(claim: _Claim, now: float) -> None:
    try:
        signed = datetime.strptime(claim.stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise OssError(400, "InvalidArgument", "x-oss-date is malformed.") from None
    if claim.lifetime_seconds is not None:
        if now > signed + claim.lifetime_seconds:
            raise OssError(403, "AccessDenied", "Request has expired.")
    elif abs(now - signed) > SKEW_SECONDS:
        raise OssError(
            403,
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
        )


def _signature(request: Request, claim: _Claim, secret: str) -> str:
    scope = f"{claim.date}/{claim.region}/{claim.product}/aliyun_v4_request"
    digest = hashlib.sha256(_canonical(request, claim).encode()).hexdigest()
    key = f"aliyun_v4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, f"{ALGORITHM}\n{claim.stamp}\n{scope}\n{digest}".encode(), "sha256").hex()


def _canonical(request: Request, claim: _Claim) -> str:
    path = f"/{request.bucket}/{request.key}" if request.bucket else "/"
    pairs = [pair.partition("=") for pair in request.query.split("&") if pair]
    query = sorted(
        (quote(unquote_plus(name), safe="~"), quote(unquote_plus(value), safe="~"))
        for name, _, value in pairs
        if unquote(name) != "x-oss-signature"
    )
    signed = sorted(
        (name, value)
        for name, value in request.headers.items()
        if name.startswith("x-oss-") or name in _ALWAYS_SIGNED or name in claim.additional
    )
    return "\n".join(
        (
            request.method,
            quote(path, safe="/~"),
            "&".join(f"{name}={value}" if value else name for name, value in query),
            "".join(f"{name}:{value.strip()}\n" for name, value in signed),
            ";".join(sorted(claim.additional)),
            "UNSIGNED-PAYLOAD",
        )
    )
