"""Events: what a change of conditions is worth telling, once per transition."""

from __future__ import annotations

from collections.abc import Iterable

from rvc_operator.api.common import Condition, ConditionStatus
from rvc_operator.api.reasons import ConditionType, Reason

from .actions import Event

TOLD_TYPES = (ConditionType.READY, ConditionType.TRAINED, ConditionType.SERVING)
NOT_WORTH_TELLING = frozenset({Reason.NOT_TRAINED, Reason.WAITING_FOR_VOICE})
"""Where objects begin: of thousands of Conversions each would have an event before anything has happened."""
HARMLESS = frozenset({Reason.SUSPENDED, Reason.SCALED_TO_ZERO})
"""Reasons of a False condition that nobody needs to worry about."""
TROUBLE = frozenset(
    {
        Reason.POD_NOT_CREATED,
        Reason.UNSCHEDULABLE,
        Reason.ACCELERATOR_NOT_PERMITTED,
        Reason.ACCELERATOR_OUT_OF_STOCK,
        Reason.IMAGE_PULL_FAILED,
        Reason.CREDENTIALS_MISSING,
        Reason.PERMISSION_DENIED,
        Reason.CONTAINER_CANNOT_START,
        Reason.TRAINING_RETRYING,
        Reason.SERVER_FAILING,
        Reason.VOICE_NOT_FOUND,
        Reason.CONVERSION_RETRYING,
    }
)
"""Reasons of an Unknown condition that somebody might want to look at."""


def transitions(old: Iterable[Condition], new: Iterable[Condition]) -> tuple[Event, ...]:
    """One event for each condition whose reason changed; the same news under two conditions is told once."""
    before = {condition.type: condition.reason for condition in old}
    news = {
        condition.reason: _event(condition)
        for condition in new
        if condition.type in TOLD_TYPES
        and condition.reason not in NOT_WORTH_TELLING
        and before.get(condition.type) != condition.reason
    }
    return tuple(news.values())


def _event(condition: Condition) -> Event:
    bad = condition.status is ConditionStatus.FALSE and condition.reason not in HARMLESS
    return Event(condition.reason, condition.message, warning=bad or condition.reason in TROUBLE)
