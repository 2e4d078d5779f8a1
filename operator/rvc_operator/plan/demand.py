"""What the Conversions of a voice ask for, read from the raw objects: there may be thousands of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from rvc_operator.api.reasons import ConditionType

Body = Mapping[str, Any]


def is_active(conversion: Body) -> bool:
    """Whether there is something to do: not finished, not suspended, not invalid, not being deleted."""
    status = conversion.get("status", {})
    conditions = status.get("conditions", [])
    return not (
        conversion.get("spec", {}).get("suspend", False)
        or status.get("completionTime")
        or conversion["metadata"].get("deletionTimestamp")
        or any(one["type"] == ConditionType.STALLED and one["status"] == "True" for one in conditions)
    )


def is_waiting(conversion: Body) -> bool:
    """Whether it is active and some of it has no server."""
    return is_active(conversion) and len(assigned_uids(conversion)) < shards_to_do(conversion)


def assigned_uids(conversion: Body) -> tuple[str, ...]:
    """Uids of the pods that its shards were given to, one for each shard."""
    assignments = (shard.get("assignment") for shard in _shards(conversion))
    return tuple(str(one["podUID"]) for one in assignments if one is not None)


def shards_to_do(conversion: Body) -> int:
    """Shards that are waiting or at work: all that are asked for before the work was first given out."""
    if shards := _shards(conversion):
        return sum(not shard.get("finished", False) for shard in shards)
    spec = conversion.get("spec", {})
    return int(spec.get("parallelism", 1)) if "prefix" in spec.get("input", {}) else 1


def demands(conversions: Iterable[Body]) -> tuple[int, ...]:
    """Shards to do of each active Conversion."""
    return tuple(shards_to_do(one) for one in conversions if is_active(one))


def revisions_in_use(conversions: Iterable[Body]) -> frozenset[str]:
    """Revisions of the voice that active Conversions have begun with."""
    begun = (one.get("status", {}).get("voiceRevision") for one in conversions if is_active(one))
    return frozenset(revision for revision in begun if revision)


def loads(conversions: Iterable[Body]) -> Mapping[str, int]:
    """Shards of active Conversions by the uid of the pod that they were given to."""
    return Counter(uid for one in conversions if is_active(one) for uid in assigned_uids(one))


def oldest_first(conversions: Iterable[Body]) -> list[Body]:
    """In the order of their creation."""
    return sorted(
        conversions, key=lambda one: (one["metadata"]["creationTimestamp"], one["metadata"]["name"])
    )


def _shards(conversion: Body) -> list[Body]:
    shards: list[Body] = conversion.get("status", {}).get("shards", [])
    return shards
