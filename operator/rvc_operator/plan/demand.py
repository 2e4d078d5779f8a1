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
    """Whether it is active and has no server."""
    return is_active(conversion) and assigned_uid(conversion) is None


def assigned_uid(conversion: Body) -> str | None:
    """Uid of the pod that it was given to."""
    assignment = conversion.get("status", {}).get("assignment")
    return None if assignment is None else str(assignment["podUID"])


def revisions_in_use(conversions: Iterable[Body]) -> frozenset[str]:
    """Revisions of the voice that active Conversions have begun with."""
    begun = (one.get("status", {}).get("voiceRevision") for one in conversions if is_active(one))
    return frozenset(revision for revision in begun if revision)


def loads(conversions: Iterable[Body]) -> Mapping[str, int]:
    """Active Conversions by the uid of the pod that they were given to."""
    return Counter(uid for one in conversions if is_active(one) and (uid := assigned_uid(one)) is not None)


def oldest_first(conversions: Iterable[Body]) -> list[Body]:
    """In the order of their creation."""
    return sorted(
        conversions, key=lambda one: (one["metadata"]["creationTimestamp"], one["metadata"]["name"])
    )
