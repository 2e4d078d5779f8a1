"""What follows the end of an attempt: a published voice, another attempt, or giving up."""

from __future__ import annotations

from msgspec.structs import replace

from rvc import contract
from rvc_operator.api.common import ConditionStatus, Failure, Metric
from rvc_operator.api.conditions import MESSAGE_LIMIT, Verdict, shorten
from rvc_operator.api.reasons import Outcome, Reason
from rvc_operator.api.voicemodel import Artifact, TrainingStatus

from .attempt import Ended
from .retry import FOR_PEOPLE, PATIENT, retry_time, seconds_until
from .step import Step, TrainingPlan, superfluous, trained

FREE = frozenset({Outcome.DISRUPTED, Outcome.JOB_DELETED})
"""Ends that cost no attempt."""
FINAL = frozenset({Outcome.DATASET_INVALID, Outcome.CONFIGURATION_INVALID})
"""Failures that another attempt cannot mend."""
TEXT_LIMIT, METRIC_LIMIT = 63, 32
PARTS_AFTER_OUT_OF_MEMORY = 4
"""Of a batch in the one attempt that follows: a GPU is not for finding out what just fits."""


def published(step: Step, status: TrainingStatus, result: contract.TrainingResult) -> TrainingPlan:
    """The wanted revision is in the store."""
    done = replace(
        status,
        stage=contract.Stage.DONE.value,
        progress_percentage=100,
        epoch=status.total_epochs,
        estimated_remaining_seconds=None,
        completion_time=step.now,
        metrics=_shown(result.metrics),
    )
    artifact = Artifact(
        uri=result.artifact_uri, manifest_digest=result.manifest_digest, size_bytes=result.size_bytes
    )
    message = f"revision {step.revision} is published"
    verdict = trained(ConditionStatus.TRUE, Reason.PUBLISHED, message)
    return TrainingPlan(done, verdict, artifact, delete=superfluous(step, done))


def concluded(step: Step, status: TrainingStatus, end: Ended) -> TrainingPlan:
    """Write the failure down and decide whether another attempt follows, and when."""
    status = replace(status, last_failure=_failure(step, end.outcome, end.message, end.exit_code))
    if end.outcome in FREE:
        return _retry(step, status, failures=1)
    status = replace(status, failures=status.failures + 1)
    if end.outcome is Outcome.OUT_OF_MEMORY:
        parts = min(PARTS_AFTER_OUT_OF_MEMORY, step.voice.spec.training.batch_size)
        if status.batch_parts is not None or parts == 1:
            return give_up(step, status, Reason.OUT_OF_MEMORY, end.message, end.exit_code)
        status = replace(status, batch_parts=parts)
        return _retry(step, status, failures=1)
    if end.outcome in FINAL or status.failures > step.voice.spec.training.backoff_limit:
        return give_up(step, status, end.outcome, end.message, end.exit_code)
    return _retry(step, status, failures=PATIENT if end.outcome in FOR_PEOPLE else status.failures)


def give_up(
    step: Step, status: TrainingStatus, reason: str, message: str, exit_code: int | None = None
) -> TrainingPlan:
    """Write down why there is no further attempt; only another spec starts one."""
    done = replace(
        status,
        completion_time=step.now,
        estimated_remaining_seconds=None,
        last_failure=_failure(step, reason, message, exit_code),
    )
    return TrainingPlan(done, given_up(done), delete=superfluous(step, done))


def retrying(step: Step, status: TrainingStatus) -> Verdict:
    """Why another attempt follows, and when."""
    failure, due = status.last_failure, status.next_retry_time
    said = f"{failure.reason}: {failure.message}" if failure is not None else "interrupted"
    when = f"; the next attempt starts at {due:%Y-%m-%dT%H:%M:%SZ}" if due is not None else ""
    limit = step.voice.spec.training.backoff_limit + 1
    counted = f"attempt {status.attempt} ({status.failures} of {limit} failures)"
    retried = Reason.TRAINING_RETRYING
    reason = FOR_PEOPLE.get(failure.reason, retried) if failure is not None else retried
    return trained(ConditionStatus.UNKNOWN, reason, f"{counted}: {said}{when}")


def given_up(status: TrainingStatus) -> Verdict:
    """Why there will be no further attempt."""
    failure = status.last_failure
    if failure is None:
        return trained(ConditionStatus.FALSE, Reason.TRAINING_FAILED, "training was given up")
    known = Reason._value2member_map_.get(failure.reason)
    reason = known if isinstance(known, Reason) else Reason.TRAINING_FAILED
    message = failure.message if known else f"{failure.reason}: {failure.message}"
    return trained(ConditionStatus.FALSE, reason, message)


def with_progress(status: TrainingStatus, progress: contract.Progress) -> TrainingStatus:
    """Copy what the trainer says about itself."""
    return replace(
        status,
        stage=progress.stage.value,
        progress_percentage=progress.progress_percentage,
        epoch=progress.epoch,
        total_epochs=progress.total_epochs or status.total_epochs,
        estimated_remaining_seconds=progress.estimated_remaining_seconds,
        metrics=_shown(progress.metrics),
    )


def _retry(step: Step, status: TrainingStatus, failures: int) -> TrainingPlan:
    seed = f"{step.voice.metadata.uid}/{status.attempt}"
    config = step.config
    due = retry_time(step.now, failures, config.retry_seconds, config.retry_limit_seconds, seed)
    waiting = replace(status, next_retry_time=due.replace(microsecond=0), estimated_remaining_seconds=None)
    return TrainingPlan(
        waiting,
        retrying(step, waiting),
        delete=superfluous(step, waiting),
        requeue_seconds=seconds_until(due, step.now),
    )


def _shown(metrics: tuple[contract.Metric, ...]) -> tuple[Metric, ...]:
    # A map by name: the API server refuses a list that names one twice.
    values = {shorten(one.name, TEXT_LIMIT): shorten(one.value, TEXT_LIMIT) for one in metrics if one.value}
    return tuple(Metric(name=name, value=value) for name, value in list(values.items())[:METRIC_LIMIT])


def _failure(step: Step, reason: str, message: str, exit_code: int | None) -> Failure:
    return Failure(
        reason=str(reason),
        message=shorten(message or str(reason), MESSAGE_LIMIT),
        exit_code=exit_code,
        time=step.now,
    )
