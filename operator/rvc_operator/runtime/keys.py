"""The operator's key pair, kept in one Secret of its own namespace and made at the first start.

The manifests bring the Secret, empty, so that the operator needs no right to create any: `create` cannot be
limited to one name, and whoever may create Secrets can ask for the token of any service account beside it. It
may get and patch this one. Of two operators that start together one fills it, guarded by the version that it
has read; the other is told of a conflict and reads again.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import secrets
from collections.abc import Iterator

import aiohttp

from rvc.proof import SEED_BYTES, Signer

from .kube import ApiError, Conflict, Kube, NotFound

log = logging.getLogger(__name__)

KEY_SECRET = "rvc-operator-key"
KEY_ENTRY = "ed25519"
"""Entry of the Secret with the 32 bytes of the private key."""


class NoKey(Exception):
    """The Secret does not hold what it should; the message says what to do."""


async def wait_for_signer(kube: Kube, namespace: str, pauses: Iterator[float]) -> Signer:
    """The operator's key pair; an API server that does not answer, or a Secret that is not there yet, is
    waited for."""
    while True:
        try:
            return await _signer(kube, namespace)
        except (ApiError, NoKey, aiohttp.ClientError, TimeoutError) as error:
            log.warning("no key pair yet, without which no pod can be spoken to: %s", error)
            await asyncio.sleep(next(pauses))


async def _signer(kube: Kube, namespace: str) -> Signer:
    try:
        secret = await kube.secret(namespace, KEY_SECRET)
    except NotFound as error:
        raise NoKey(f"there is no Secret {namespace}/{KEY_SECRET}; apply the operator's manifests") from error
    if not secret.get("data"):
        secret = await _filled(kube, namespace, secret["metadata"]["resourceVersion"])
    try:
        return Signer(base64.b64decode(secret["data"][KEY_ENTRY], validate=True))
    except (KeyError, ValueError, binascii.Error) as error:
        raise NoKey(
            f"Secret {namespace}/{KEY_SECRET} has no key of {SEED_BYTES} bytes in {KEY_ENTRY}; remove its "
            "data, then a new one is made"
        ) from error


async def _filled(kube: Kube, namespace: str, version: str) -> dict[str, dict[str, str]]:
    """The Secret after a new key was put into it, or after another operator did."""
    entry = base64.b64encode(secrets.token_bytes(SEED_BYTES)).decode()
    patch = {"metadata": {"resourceVersion": version}, "data": {KEY_ENTRY: entry}}
    try:
        secret = await kube.patch_secret(namespace, KEY_SECRET, patch)
    except Conflict:
        return await kube.secret(namespace, KEY_SECRET)
    log.info("made a key pair in Secret %s/%s", namespace, KEY_SECRET)
    return secret
