"""Requests for one bucket, repeated until they succeed or it makes no sense to go on.

Two things are repaired on the way: keys that are refused are looked up again (a Secret was rotated, a session
ended), and a clock that is wrong is corrected by the server's.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import oss2

from rvc.errors import PermissionDenied, StoreUnavailable
from rvc.store.oss.address import Address
from rvc.store.oss.credentials import CredentialsSource, Keys
from rvc.store.oss.failures import FOREIGN_ERRORS, NO_KEYS, Kind, Trouble, failure_of
from rvc.store.oss.retry import Patience, RetryPolicy, Waiting

CONNECT_SECONDS, READ_SECONDS = 10.0, 60.0
CONNECTIONS = 32
"""Kept open at most; several transfers may run at once, each with some threads."""
_RENEWALS = 2
"""Of the keys, for one request."""
Answer = TypeVar("Answer")

# Its messages quote what was signed, and with it the session's token.
logging.getLogger("oss2").setLevel(logging.CRITICAL)


class Client:
    """A bucket and how to be patient with it. Thread-safe."""

    def __init__(
        self,
        bucket: str,
        address: Address,
        credentials: CredentialsSource,
        policy: RetryPolicy,
        waiting: Waiting,
    ) -> None:
        self.uri = f"oss://{bucket}/"
        self._credentials = credentials
        self._policy = policy
        self._waiting = waiting
        self._signer = _Signer(credentials)
        self._bucket = _bucket(bucket, address, address.endpoint, self._signer)
        self._public = _bucket(bucket, address, address.public_endpoint, self._signer)

    def patience(self) -> Patience:
        """For what is repeated as a whole, a download that was overtaken by a new version."""
        return Patience(self._policy, self._waiting)

    def call(
        self, key: str, request: Callable[[Any], Answer], progress: Callable[[], int] = lambda: 0
    ) -> Answer:
        """The answer to `request(bucket)`, which raises the errors of oss2 and `Trouble`.

        `progress` is how far the request has come; when it has come further, patience starts again. Raises
        the errors of `rvc.errors` about the object or prefix `key`.
        """
        uri = self.uri + key
        patience, renewals, is_corrected, reached = self.patience(), 0, False, 0
        while True:
            try:
                with _said_of(uri):
                    return request(self._bucket)
            except FOREIGN_ERRORS as error:
                failure = failure_of(error)
            if progress() > reached:
                reached = progress()
                patience.renew()
            if failure.kind is Kind.CREDENTIALS and renewals < _RENEWALS:
                renewals += 1
                again = self._has_other_keys(uri)
            elif failure.kind is Kind.SKEWED and not is_corrected:
                again = is_corrected = self._signer.correct(failure.server_time)
            else:
                again = failure.kind is Kind.RETRIABLE and patience.allows(failure, uri)
            if not again:
                raise failure.error(uri) from None

    def attempt(self, request: Callable[[Any], object]) -> None:
        """Ask once, whatever comes of it."""
        with suppress(*FOREIGN_ERRORS, PermissionDenied):
            request(self._bucket)

    def presigned_url(self, key: str, seconds: int) -> str:
        """A link with which anybody may read the object for so long, by the server's clock where it is known.

        Raises the errors of `rvc.errors` when there are no keys.
        """
        uri = self.uri + key
        try:
            with _said_of(uri):
                return str(self._public.sign_url("GET", key, seconds, slash_safe=True))
        except FOREIGN_ERRORS as error:
            raise failure_of(error).error(uri) from None

    def _has_other_keys(self, uri: str) -> bool:
        try:
            with _said_of(uri):
                return self._credentials.renew(self._signer.last_used())
        except StoreUnavailable:
            return True  # The next request meets the same and waits.


@contextmanager
def _said_of(uri: str) -> Iterator[None]:
    """Where credentials are missing: their source does not know what they are for."""
    try:
        yield
    except PermissionDenied as error:
        raise PermissionDenied(f"{uri}: {error}", reason=error.reason) from None


def _bucket(name: str, address: Address, endpoint: str, signer: _Signer) -> Any:
    return oss2.Bucket(
        signer,
        endpoint,
        name,
        is_cname=address.is_custom_domain,
        is_path_style=address.is_path_style,
        region=address.region,
        session=oss2.Session(pool_size=CONNECTIONS),
        connect_timeout=(CONNECT_SECONDS, READ_SECONDS),
        enable_crc=False,  # We check ourselves, see `crc64`.
    )


class _Signer(oss2.ProviderAuthV4):  # type: ignore[misc]
    """V4 signatures with the keys and the time of now."""

    def __init__(self, source: CredentialsSource) -> None:
        super().__init__(self)
        self._source = source
        self._used = threading.local()
        self._clock_error = timedelta(0)

    def get_credentials(self) -> Any:
        """oss2's own interface."""
        try:
            keys = self._used.keys = self._source.get()
        except StoreUnavailable:
            raise Trouble(NO_KEYS) from None
        return oss2.credentials.Credentials(keys.key_id, keys.secret, keys.token)

    def last_used(self) -> Keys:
        """The keys of this thread's last request."""
        keys: Keys = self._used.keys
        return keys

    def correct(self, server_time: float | None) -> bool:
        """Take over the server's clock (Unix time); whether it is known."""
        if server_time is None:
            return False
        self._clock_error = datetime.fromtimestamp(server_time, UTC) - datetime.now(UTC)
        return True

    def _sign_request(self, req: Any, bucket_name: str, key: str, in_additional_headers: Any = None) -> None:
        """As the base class does it, by another clock, which it has no way to be given."""
        keys = self.get_credentials()
        stamp = self._stamp()
        if keys.security_token:
            req.headers["x-oss-security-token"] = keys.security_token
        req.headers["x-oss-date"] = stamp
        req.headers["x-oss-content-sha256"] = "UNSIGNED-PAYLOAD"
        signature = self._ProviderAuthV4__make_signature(req, bucket_name, key, None, keys, stamp)
        credential = _credential(keys, stamp, req)
        req.headers["authorization"] = f"OSS4-HMAC-SHA256 Credential={credential}, Signature={signature}"

    def _sign_url(
        self, req: Any, bucket_name: str, key: str, expires: int, in_additional_headers: Any = None
    ) -> str:
        """A link that may be opened from now, by that clock, for `expires` seconds."""
        keys = self.get_credentials()
        stamp = self._stamp()
        if keys.security_token:
            req.params["x-oss-security-token"] = keys.security_token
        req.params |= {
            "x-oss-date": stamp,
            "x-oss-expires": str(expires),
            "x-oss-signature-version": "OSS4-HMAC-SHA256",
            "x-oss-credential": _credential(keys, stamp, req),
        }
        signature = self._ProviderAuthV4__make_signature(req, bucket_name, key, None, keys, stamp)
        return f"{req.url}?{urlencode(req.params | {'x-oss-signature': signature}, quote_via=quote, safe='')}"

    def _stamp(self) -> str:
        return (datetime.now(UTC) + self._clock_error).strftime("%Y%m%dT%H%M%SZ")


def _credential(keys: Any, stamp: str, req: Any) -> str:
    return f"{keys.access_key_id}/{stamp[:8]}/{req.region}/{req.product}/aliyun_v4_request"
