"""What a status that the operator has just written says to have ended.

Read off what was written, so that nothing is counted which another writer or a restart undid, and what was
written before a restart is not counted again.
"""

from __future__ import annotations

from rvc_operator.api.conversion import ConversionStatus
from rvc_operator.api.reasons import ConditionType, Outcome, Reason
from rvc_operator.api.voicemodel import TrainingStatus, VoiceModelStatus

OTHER = "Other"
"""Stands for what is no reason of ours; statuses can be edited."""
SUPERSEDED = "Superseded"
"""The attempt ended because the spec asks for another revision."""
KNOWN = frozenset({*Reason, *Outcome})


def attempt_outcome(before: VoiceModelStatus, after: VoiceModelStatus) -> str:
    """How the attempt ended that was live before; empty if it goes on, or if none was."""
    old, new = before.training, after.training
    if not _live(old):
        return ""
    if new.revision != old.revision:
        return SUPERSEDED
    if _live(new) and new.attempt == old.attempt:
        return ""
    if ready_reason(after) == Reason.SUSPENDED:
        return Reason.SUSPENDED
    if new.last_failure is not None and new.last_failure != old.last_failure:
        return known(new.last_failure.reason)
    return Reason.PUBLISHED if new.completion_time is not None else OTHER


def conversion_outcome(before: ConversionStatus, after: ConversionStatus) -> str:
    """How a Conversion ended; empty if it goes on, or had ended before."""
    ended = before.completion_time is None and after.completion_time is not None
    return ready_reason(after) if ended else ""


def ready_reason(status: VoiceModelStatus | ConversionStatus) -> str:
    """Reason of the condition Ready, as a label."""
    found = (one.reason for one in status.conditions if one.type == ConditionType.READY)
    return known(next(found, OTHER))


def known(reason: str) -> str:
    """The reason if it is one of ours."""
    return reason if reason in KNOWN else OTHER


def _live(training: TrainingStatus) -> bool:
    return training.attempt > 0 and training.next_retry_time is None and training.completion_time is None
