"""Proof that a request comes from the operator: a signature over what is asked of which pod, for a minute.

    Authorization: RVC-Proof <claims>.<signature>

Both parts are base64url: the JSON of `Claims`, and an Ed25519 signature (RFC 8032) over its text. Only the
operator has the private key; trainers and servers read the public one in their own spec. Elsewhere, for
anything else or later a proof is worth nothing. Whoever overhears one can repeat that very request, which
changes nothing: a conversion is put under its uid, and putting it twice is no new work.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from enum import StrEnum

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

from rvc.errors import InvalidConfiguration, RvcError

SCHEME = "RVC-Proof"
OPERATOR_KEY_VARIABLE = "RVC_OPERATOR_KEY"
"""Environment variable of a pod with the operator's public key: base64 of its 32 bytes."""
POD_UID_VARIABLE = "RVC_POD_UID"
"""Environment variable of a pod with its own uid, for which proofs are made out."""
LIFETIME_SECONDS = 60
LEEWAY_SECONDS = 30
"""By which the clocks of two nodes may differ."""
SEED_BYTES = 32
_DOMAIN = b"rvc-proof-v1."
"""Signed in front of the claims: the key may one day sign other things."""


class Refusal(StrEnum):
    """Why a request is not believed."""

    MISSING = "ProofMissing"
    MALFORMED = "ProofMalformed"
    OTHER_KEY = "ProofOfOtherKey"
    EXPIRED = "ProofExpired"
    OTHER_REQUEST = "ProofOfOtherRequest"


class ProofRefused(RvcError):
    """The request does not come from the operator of this pod."""


class Claims(Struct, frozen=True):
    """What is asked, of whom, and when."""

    audience: str
    """Uid of the pod that is asked."""
    method: str
    target: str
    """Path and query as they are sent."""
    body_sha256: str
    """64 hex digits."""
    issued: int
    """Seconds since 1970, UTC."""


class Signer:
    """The operator's key pair."""

    def __init__(self, seed: bytes) -> None:
        """Raises ValueError unless `seed` has 32 bytes."""
        self._key = Ed25519PrivateKey.from_private_bytes(seed)

    @property
    def public_key(self) -> str:
        """The half that pods are told: base64."""
        return base64.b64encode(self._key.public_key().public_bytes_raw()).decode()

    def authorization(self, audience: str, method: str, target: str, body: bytes, now: float) -> str:
        """Value of the header Authorization for one request at the time `now`."""
        claims = Claims(audience, method, target, _digest(body), int(now))
        text = _encoded(msgspec.json.encode(claims))
        return f"{SCHEME} {text.decode()}.{_encoded(self._key.sign(_DOMAIN + text)).decode()}"


class Guard:
    """Believes the requests of one operator to one pod, and counts the others; any thread may ask."""

    def __init__(self, public_key: str, audience: str, clock: Callable[[], float] = time.time) -> None:
        """Raises ValueError for a text that is no public key."""
        self._key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True))
        self._audience = audience
        self._clock = clock
        self._lock = threading.Lock()
        self.refused: Counter[str] = Counter()
        """By reason."""

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Guard:
        """The guard that the pod's spec describes; raises `InvalidConfiguration`."""
        key, pod = environment.get(OPERATOR_KEY_VARIABLE, ""), environment.get(POD_UID_VARIABLE, "")
        try:
            if not pod:
                raise ValueError("no uid")
            return cls(key, pod)
        except ValueError as error:
            raise InvalidConfiguration(
                f"{OPERATOR_KEY_VARIABLE} and {POD_UID_VARIABLE} must hold the operator's public key and the "
                f"uid of this pod ({error}), else nobody could be believed; operator and image must be of "
                "the same release"
            ) from error

    def check(self, authorization: str | None, method: str, target: str) -> Claims:
        """What the header proves of this request, whose body is still to be held against it.

        Raises `ProofRefused`, and counts it.
        """
        try:
            return self._checked(authorization, method, target)
        except ProofRefused as error:
            self._count(error)
            raise

    def check_body(self, claims: Claims, body: bytes) -> None:
        """Raise `ProofRefused`, and count it, for another body than the one that was signed."""
        if _digest(body) != claims.body_sha256:
            error = _refused(Refusal.OTHER_REQUEST, "the proof is for another body")
            self._count(error)
            raise error

    def _checked(self, authorization: str | None, method: str, target: str) -> Claims:
        if not authorization:
            raise _refused(
                Refusal.MISSING, f"only the operator is answered here; Authorization: {SCHEME} is missing"
            )
        claims = self._signed(authorization)
        age = self._clock() - claims.issued
        if not -LEEWAY_SECONDS <= age <= LIFETIME_SECONDS + LEEWAY_SECONDS:
            raise _refused(
                Refusal.EXPIRED,
                f"by this node's clock the proof is {age:.0f} s old, and it holds for {LIFETIME_SECONDS} s; "
                "if it is new, the clocks of the nodes differ: set them",
            )
        if (claims.audience, claims.method, claims.target) != (self._audience, method, target):
            raise _refused(Refusal.OTHER_REQUEST, "the proof is for another pod, method or path")
        return claims

    def _signed(self, authorization: str) -> Claims:
        scheme, _, token = authorization.partition(" ")
        text, _, signature = token.partition(".")
        if scheme.lower() != SCHEME.lower():
            raise _refused(Refusal.MALFORMED, f"the scheme of Authorization must be {SCHEME}")
        try:
            self._key.verify(_decoded(signature), _DOMAIN + text.encode("ascii"))
            return msgspec.json.decode(_decoded(text), type=Claims)
        except InvalidSignature:
            raise _refused(Refusal.OTHER_KEY, "the proof is not signed by the operator of this pod") from None
        except (ValueError, binascii.Error, msgspec.DecodeError):
            raise _refused(Refusal.MALFORMED, "the proof cannot be read") from None

    def _count(self, error: ProofRefused) -> None:
        with self._lock:
            self.refused[error.reason] += 1


def _refused(reason: Refusal, message: str) -> ProofRefused:
    return ProofRefused(message, reason=reason.value)


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _decoded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
