"""Conditions as a map by type, merged so that a change of words is no transition.

`lastTransitionTime` moves only when `status` does; abnormal conditions (Reconciling, Stalled) are there only
while true.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from .common import Condition, ConditionStatus
from .reasons import ConditionType, Reason

MESSAGE_LIMIT = 1024


class Verdict(Struct, frozen=True):
    """What a plan says about one condition; when it began to hold is found by `merge`."""

    type: ConditionType
    status: ConditionStatus
    reason: Reason
    message: str
    """Never empty: old API servers take an empty text for null, and people deserve a sentence."""


def ready(status: ConditionStatus, reason: Reason, message: str) -> tuple[Verdict, ...]:
    """Ready with the abnormal condition that goes with it: Unknown means at work, False that a person is
    needed."""
    verdicts = [Verdict(ConditionType.READY, status, reason, message)]
    if status is ConditionStatus.UNKNOWN:
        verdicts.append(Verdict(ConditionType.RECONCILING, ConditionStatus.TRUE, reason, message))
    elif status is ConditionStatus.FALSE and reason is not Reason.SUSPENDED:
        verdicts.append(Verdict(ConditionType.STALLED, ConditionStatus.TRUE, reason, message))
    return tuple(verdicts)


def find(conditions: Iterable[Condition], type: ConditionType) -> Condition | None:
    """The condition of that type, if present."""
    return next((condition for condition in conditions if condition.type == type), None)


def merge(
    old: Sequence[Condition], verdicts: Iterable[Verdict], generation: int, now: datetime
) -> tuple[Condition, ...]:
    """The conditions after `verdicts`, in their order; what is not in `verdicts` is no longer true."""
    merged = []
    for verdict in verdicts:
        condition = Condition(
            type=verdict.type.value,
            status=verdict.status,
            reason=verdict.reason.value,
            message=shorten(verdict.message, MESSAGE_LIMIT),
            last_transition_time=now,
            observed_generation=generation,
        )
        before = find(old, verdict.type)
        if before is not None and before.status is condition.status:
            condition = replace(condition, last_transition_time=before.last_transition_time)
        merged.append(condition)
    return tuple(merged)


def shorten(text: str, limit: int) -> str:
    """The text, cut to `limit` characters with an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
