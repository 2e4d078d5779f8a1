"""Who may convert directly: whoever has the token that the voice's owner keeps in a Secret.

The kubelet mounts the Secret; it is read for every request, so that a new token counts once it is there.
"""

from __future__ import annotations

import hmac
from collections import Counter
from pathlib import Path

from rvc.errors import RvcError

SCHEME = "Bearer"
SHORTEST_TOKEN = 16
"""Characters; shorter ones can be guessed."""


class TokenRefused(RvcError):
    """The request does not carry the token."""

    reason = "TokenRefused"


class DirectConversionOff(RvcError):
    """The voice has no token by which somebody could be let in."""

    reason = "DirectConversionOff"


class UserToken:
    """The token in a file, which may change, come or go; None: there is none and nobody is let in."""

    def __init__(self, path: Path | None, refused: Counter[str]) -> None:
        self._path = path
        self._refused = refused

    def check(self, authorization: str | None) -> None:
        """Raise `TokenRefused` or `DirectConversionOff`, and count it, unless the header has the token."""
        try:
            self._check(authorization)
        except RvcError as error:
            self._refused[error.reason] += 1
            raise

    def _check(self, authorization: str | None) -> None:
        token = self._read()
        scheme, _, given = (authorization or "").partition(" ")
        # Bytes, for compare_digest takes no other letters than ASCII; it tells nothing by its time.
        same = hmac.compare_digest(given.strip().encode(), token.encode())
        if scheme.lower() != SCHEME.lower() or not same:
            raise TokenRefused(
                f"send the header Authorization: {SCHEME} TOKEN, with the token in the Secret that "
                "spec.serving.tokenSecretRef of the VoiceModel names"
            )

    def _read(self) -> str:
        if self._path is None:
            raise DirectConversionOff(
                "nobody converts directly with this voice: set spec.serving.tokenSecretRef of its VoiceModel "
                "to a Secret with a token, or apply a Conversion"
            )
        try:
            token = self._path.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise DirectConversionOff(
                "the Secret that spec.serving.tokenSecretRef names, or its key, is not there yet; create it, "
                "and within two minutes it counts"
            ) from error
        if len(token) < SHORTEST_TOKEN:
            raise DirectConversionOff(
                f"the token in the Secret is shorter than {SHORTEST_TOKEN} characters and could be guessed; "
                "make one with: openssl rand -hex 32"
            )
        return token
