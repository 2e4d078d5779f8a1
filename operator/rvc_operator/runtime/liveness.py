"""Whether the operator is alive, judged by what only a live one can do.

Two things die without a sound: a watch whose connection is open and mute, and our own loop of listings. The
listings prove the watches: what a listing shows, the watch of that kind must have told, too, or tell soon.
An API server that cannot be reached proves nothing against the operator, and a restart would not reach it
either; so doubts about a watch grow only from one good listing to the next, and end with a bad one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

DOUBTFUL_LISTINGS = 4
"""Good listings in a row by which a watch must have told what the first of them showed."""


class Watch(NamedTuple):
    """One stream of events."""

    plural: str
    namespace: str
    """Empty for the whole cluster."""


class _Doubt(NamedTuple):
    version: int
    """What the watch has not told."""
    listings: int
    """Good listings since, the first one included."""


class Liveness:
    """What has been heard and listed, and when."""

    def __init__(self, patience_seconds: float, now: float) -> None:
        """`patience_seconds`: how long no listing may come to an end that tells whether we are alive."""
        self._patience = patience_seconds
        self._ended = now
        self._good: float | None = None
        self._heard: dict[Watch, int] = {}
        self._doubts: dict[Watch, _Doubt] = {}

    def heard(self, watch: Watch, version: int) -> None:
        """A watch has told of a resource version."""
        self._heard[watch] = max(version, self._heard.get(watch, 0))

    def listed(self, newest: Iterable[tuple[Watch, int]], now: float) -> None:
        """Everything was listed; for each watch, the newest resource version that it showed."""
        self._ended = self._good = now
        for watch, version in newest:
            if self._told(watch, version):
                self._doubts.pop(watch, None)
            else:
                doubt = self._doubts.get(watch, _Doubt(version, 0))
                self._doubts[watch] = _Doubt(doubt.version, doubt.listings + 1)

    def failed(self, unreachable: bool, now: float) -> None:
        """A listing failed; `unreachable` if the API server did not answer, or not well."""
        self._doubts.clear()
        if unreachable:
            self._ended = now

    @property
    def doubtful(self) -> bool:
        """Whether another listing should follow soon, to find out whether a watch is dead or only late."""
        return bool(self._doubts)

    def problem(self, now: float) -> str:
        """Why the operator must be taken for dead; empty while it lives."""
        dead = sorted(watch for watch, doubt in self._doubts.items() if doubt.listings >= DOUBTFUL_LISTINGS)
        if dead:
            return f"the watch of {dead[0].plural} no longer tells what happens"
        if now - self._ended > self._patience:
            return f"nothing was listed for {now - self._ended:.0f} s"
        return ""

    def seconds_since_listing(self, now: float) -> float | None:
        """Age of the newest good listing, None before the first."""
        return None if self._good is None else now - self._good

    def _told(self, watch: Watch, version: int) -> bool:
        """Whether the watch has told all that it must have; what is gone since is told by nobody."""
        doubt = self._doubts.get(watch)
        due = version if doubt is None else doubt.version
        return version < due or self._heard.get(watch, 0) >= due
