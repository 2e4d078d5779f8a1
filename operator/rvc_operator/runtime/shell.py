"""What both reconcilers share: the cache, the writers, the clock, and the rules by which they are used.

Every write goes through here, so that its result is in the cache before anything else is decided, and a
status is written only when it differs, field by field, from what is there.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import aiohttp
from msgspec import Struct

from rvc_operator.api.common import API_VERSION
from rvc_operator.api.names import MANAGED_BY_LABEL, MANAGER
from rvc_operator.api.rules import to_object
from rvc_operator.config import Config
from rvc_operator.metrics.meters import Meters
from rvc_operator.plan.actions import Event

from .cache import Body, Cache, Change, Key, Kind, key_of
from .kube import ApiError, Conflict, Kube, NotFound
from .pods import Pods

log = logging.getLogger(__name__)

NOTE_LIMIT = 1024


class NotYet(Exception):
    """Something of the past is in the way and will go by itself; worth another try."""


class NameTaken(ApiError):
    """Somebody else's object has the name that a child must have."""


@dataclass(frozen=True)
class Shell:
    """The operator's hands."""

    config: Config
    cache: Cache
    kube: Kube
    pods: Pods
    now: Callable[[], datetime]
    """Time of day in whole seconds, UTC."""
    changed: Callable[[Change], None]
    """Told of every change that our own writes made."""
    meters: Meters

    def record(self, kind: Kind, body: Body) -> None:
        """Take the answer to a write of ours into the cache."""
        change = self.cache.store(kind, body)
        if change is not None:
            self.changed(change)

    async def create(self, kind: Kind, manifest: Body, owner: str | None) -> None:
        """Create a child; one that is there already is fine if it is its owner's, or the name says whose."""
        try:
            self.record(kind, await self.kube.create(kind, manifest))
        except Conflict:
            body = await self.kube.get(key_of(kind, manifest))
            if owner is not None:
                _check_owner(kind, body, owner)
            self.record(kind, body)

    async def apply(self, kind: Kind, manifest: Body, owner: str) -> None:
        """Create or update a child; an object of the same name that is somebody else's is left alone."""
        key = key_of(kind, manifest)
        with suppress(NotFound):
            _check_owner(kind, self.cache.get(key) or await self.kube.get(key), owner)
        self.record(kind, await self.kube.apply(kind, manifest))

    async def scale(self, key: Key, replicas: int) -> None:
        """Set the replicas of a Deployment."""
        self.record(key.kind, await self.kube.patch(key, {"spec": {"replicas": replicas}}))

    async def delete(self, key: Key) -> None:
        """Delete an object that we know."""
        body = self.cache.get(key)
        if body is None:
            return
        left = await self.kube.delete(key, body["metadata"]["uid"])
        if left is not None:
            self.record(key.kind, left)

    async def write_finalizers(self, key: Key, body: Body, finalizers: list[str]) -> bool:
        """Set the finalizers of `body`; False when somebody was faster."""
        metadata = {"resourceVersion": body["metadata"]["resourceVersion"], "finalizers": finalizers}
        try:
            written = await self.kube.patch(key, {"metadata": metadata})
        except Conflict:
            self.record(key.kind, await self.kube.get(key))
            return False
        # The last one makes a deleted object go: of that only the watch tells.
        if "deletionTimestamp" not in written["metadata"]:
            self.record(key.kind, written)
        return True

    async def write_status(self, key: Key, body: Body, status: Struct) -> bool:
        """Write the status of `body` if it differs; False when somebody was faster and it must be planned
        anew."""
        patch = merge_patch(body.get("status", {}), to_object(status))
        if not patch:
            return True
        guarded = {"metadata": {"resourceVersion": body["metadata"]["resourceVersion"]}, "status": patch}
        try:
            written = await self.kube.patch(key, guarded, "status")
        except Conflict:
            self.record(key.kind, await self.kube.get(key))
            return False
        # Not when the cache takes it: a watch may have been faster.
        self._count(key.kind, body, written)
        self.record(key.kind, written)
        return True

    def _count(self, kind: Kind, before: Body, after: Body) -> None:
        if kind is Kind.VOICE:
            self.meters.voice_written(before, after)
        else:
            self.meters.conversion_written(before, after)

    async def tell(self, kind: Kind, body: Body, events: Iterable[Event]) -> None:
        """Post events about an object; that an event is lost is no reason to fail."""
        for event in events:
            try:
                await self.kube.post_event(self._event(kind, body, event))
            except (ApiError, aiohttp.ClientError, TimeoutError) as error:
                log.warning("event %s was not posted: %s", event.reason, error)

    def _event(self, kind: Kind, body: Body, event: Event) -> Body:
        metadata, now = body["metadata"], self.now()
        identity = f"{metadata['uid']}/{event.reason}/{event.message}/{now.isoformat()}"
        name = f"{metadata['name']}.{hashlib.sha256(identity.encode()).hexdigest()[:16]}"
        return {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": metadata["namespace"]},
            "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.000000Z"),
            "reportingController": f"voice.rvc.dev/{MANAGER}",
            "reportingInstance": self.config.instance,
            "action": "Reconcile",
            "reason": event.reason,
            "note": event.message[:NOTE_LIMIT],
            "type": "Warning" if event.warning else "Normal",
            "regarding": {
                "apiVersion": API_VERSION,
                "kind": kind.kind,
                "name": metadata["name"],
                "namespace": metadata["namespace"],
                "uid": metadata["uid"],
                "resourceVersion": metadata["resourceVersion"],
            },
        }


def merge_patch(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The JSON merge patch (RFC 7396) from `old` to `new`, empty if they are equal; lists count as one
    value."""
    patch: dict[str, Any] = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            inner = merge_patch(before, value)
            if inner:
                patch[key] = inner
        elif value != before or key not in old:
            patch[key] = value
    return patch


def _check_owner(kind: Kind, body: Body, owner: str) -> None:
    metadata = body["metadata"]
    owners = [reference["uid"] for reference in metadata.get("ownerReferences", [])]
    if owner in owners and "deletionTimestamp" not in metadata:
        return
    what = f"{kind.kind} {metadata['name']}"
    # The garbage collector takes what a deleted voice owned; orphans, which nobody owns, stay.
    leaving = owners or "deletionTimestamp" in metadata
    if leaving and metadata.get("labels", {}).get(MANAGED_BY_LABEL) == MANAGER:
        raise NotYet(f"{what} of a deleted voice of the same name is on its way out")
    raise NameTaken(409, f"there is another {what}; delete it or give the voice another name")
