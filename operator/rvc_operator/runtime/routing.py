"""Whose decisions a change can alter: the keys to look at again, and no others.

A voice's progress is written every few seconds and a busy voice may have thousands of Conversions, so a
change is routed by what the other side reads of it, and those who wait for room are called in the order of
their creation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rvc_operator.api.common import ConditionStatus
from rvc_operator.api.names import COMPONENT_LABEL, REVISION_LABEL, Component
from rvc_operator.api.objects import Pod, view
from rvc_operator.api.reasons import ConditionType
from rvc_operator.plan.demand import assigned_uids, is_active, is_waiting, oldest_first, shards_to_do

from .cache import Body, Cache, Change, Key, Kind, key_of, voice_of

CALLED_FOR_A_SERVER = 64
"""Waiting Conversions that a new server can mean work for: the most that one may take."""
CALLED_FOR_ROOM = 1
"""Waiting Conversions that are called beside one for each place that became free."""


def affected(cache: Cache, change: Change) -> Iterator[Key]:
    """Keys whose plans may come out differently after `change`, the changed object's own not counted."""
    body = change.after or change.before
    assert body is not None, "a change has a before or an after"
    kind, namespace = change.key.kind, change.key.namespace
    voice = voice_of(kind, body)
    if not voice:
        return
    if kind is not Kind.VOICE:
        yield Key(Kind.VOICE, namespace, voice)
    if _read_by_conversions(kind, change.before) == _read_by_conversions(kind, change.after):
        return
    conversions = cache.of_voice(Kind.CONVERSION, namespace, voice)
    if kind is Kind.POD:
        uid = body["metadata"]["uid"]
        yield from (_key(one) for one in conversions if uid in assigned_uids(one))
    waiting = [one for one in conversions if is_waiting(one)]
    limits = {Kind.CONVERSION: CALLED_FOR_ROOM + _freed(change), Kind.POD: CALLED_FOR_A_SERVER}
    yield from (_key(one) for one in oldest_first(waiting)[: limits.get(kind)])


def _read_by_conversions(kind: Kind, body: Body | None) -> Any:
    """The part of an object that decisions about (other) Conversions are made from."""
    if body is None:
        return None
    status = body.get("status", {})
    match kind:
        case Kind.VOICE:
            said = _told_to_conversions(status.get("conditions", ()))
            return body["metadata"]["generation"], said, status.get("revision"), _leaves(body)
        case Kind.CONVERSION:
            return is_active(body), assigned_uids(body), shards_to_do(body)
        case Kind.DEPLOYMENT:
            return body["metadata"].get("labels", {}).get(REVISION_LABEL)
        case Kind.POD if body["metadata"]["labels"].get(COMPONENT_LABEL) == Component.SERVER:
            pod = view(Pod, body)
            return pod.ready, pod.status.pod_ip, pod.metadata.deleting
    return None


def _told_to_conversions(conditions: Iterable[Body]) -> list[tuple[str, str, str]]:
    """Nothing of a voice that is still on its way: see `available_voice`."""
    said = [(one["type"], one["status"], one["reason"]) for one in conditions]
    on_its_way = any(one[:2] == (ConditionType.READY, ConditionStatus.UNKNOWN) for one in said)
    return [] if on_its_way else said


def _leaves(body: Body) -> bool:
    return "deletionTimestamp" in body["metadata"]


def _freed(change: Change) -> int:
    """Places at servers that a Conversion gave back."""
    before, after = (
        assigned_uids(body) if body is not None else () for body in (change.before, change.after)
    )
    return max(len(before) - len(after), 0)


def _key(conversion: Mapping[str, Any]) -> Key:
    return key_of(Kind.CONVERSION, conversion)
