"""When a trainer counts as hung: it runs, and for longer than the operator's limit it has said nothing new.

Whatever changes in what it says is a sign of life, and when that was is in the status, so that a restart of
the operator neither forgives nor accuses. A trainer that does not answer at all proves less: it must have
answered before, for a network may never have let the operator through, and then have been asked in vain for
as long as the limit.
"""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from rvc_operator.api.names import TRAINER_CONTAINER
from rvc_operator.api.objects import Pod
from rvc_operator.api.reasons import Outcome
from rvc_operator.api.voicemodel import TrainingStatus

from .attempt import Ended
from .ending import with_progress
from .step import Step


def with_news(step: Step, status: TrainingStatus) -> TrainingStatus:
    """The status with what the trainer says, and with the time if any of it is new."""
    said = step.observed.progress
    if said is None:
        return status
    told = with_progress(status, said)
    new = told != status or status.last_updated_time is None
    return replace(told, last_updated_time=step.now) if new else status


def hung(step: Step, status: TrainingStatus, pod: Pod) -> Ended | None:
    """The end of an attempt whose trainer in the running `pod` makes no progress; `status` has its news."""
    seconds = _seconds_without_news(step, status, _started(pod))
    if seconds < step.config.hung_seconds:
        return None
    stage = f" in stage {status.stage}" if status.stage else ""
    name = pod.metadata.name
    return Ended(Outcome.HUNG, f"no progress for {seconds:.0f} s{stage}; see kubectl logs {name}")


def _seconds_without_news(step: Step, status: TrainingStatus, started: datetime) -> float:
    last = status.last_updated_time
    if step.observed.progress is not None:
        # An older pod of the same Job, held back and let go again, may have said the same long ago.
        return (step.now - max(last or started, started)).total_seconds()
    return step.observed.silent_seconds if last is not None and last >= started else 0.0


def _started(pod: Pod) -> datetime:
    container = pod.container(TRAINER_CONTAINER)
    running = container.state.running if container is not None else None
    return (running and running.started_at) or pod.metadata.creation_timestamp
