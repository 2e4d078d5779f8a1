"""How a training attempt ended, found from what its Job and pod left behind.

The exit code is the trainer's own word; a pod that was evicted, preempted, deleted or lost with its node is a
disruption, which is nobody's failure. A pod that vanished without a trace counts as disrupted, too.
Jobs and pods are watched apart, so that a finished Job may be seen before the end of its pod is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from rvc.contract import ACCELERATOR_OUT_OF_MEMORY, ExitCode, TrainingResult
from rvc_operator.api.names import TRAINER_CONTAINER
from rvc_operator.api.objects import Job, Pod, Terminated, holds
from rvc_operator.api.reasons import Outcome

DIGEST = re.compile("sha256:[0-9a-f]{64}")
LATE_POD_SECONDS = 60
"""How long after its Job's end a pod may still look alive before its own end is taken for lost."""

BY_EXIT_CODE: Mapping[int, Outcome] = {
    ExitCode.DATASET_INVALID: Outcome.DATASET_INVALID,
    ExitCode.CONFIGURATION_INVALID: Outcome.CONFIGURATION_INVALID,
    ExitCode.PERMISSION_DENIED: Outcome.PERMISSION_DENIED,
    ExitCode.STORE_UNAVAILABLE: Outcome.STORE_UNAVAILABLE,
    ExitCode.ACCELERATOR_ERROR: Outcome.ACCELERATOR_ERROR,
    ExitCode.TERMINATED: Outcome.DISRUPTED,
    ExitCode.KILLED: Outcome.OUT_OF_MEMORY,
}


@dataclass(frozen=True)
class Published:
    """The attempt left a voice in the store."""

    result: TrainingResult


@dataclass(frozen=True)
class Ended:
    """The attempt left nothing but a reason."""

    outcome: Outcome
    message: str
    exit_code: int | None = None


def attempt_end(job: Job | None, job_name: str, pod: Pod | None, now: datetime) -> Published | Ended | None:
    """How the attempt ended; None while it goes on, which includes a Job that is being deleted and one whose
    pod has not been seen to end yet."""
    if job is None:
        return Ended(Outcome.JOB_DELETED, f"Job {job_name} was deleted")
    if job.metadata.deleting or not job.finished:
        return None
    terminated = _termination(pod)
    if terminated is None:
        if pod is not None and pod.staying and _just_finished(job, now):
            return None
        return Ended(Outcome.DISRUPTED, _trace(pod) or f"the pod of Job {job_name} is gone")
    if job.complete:
        return _success(terminated)
    return _failure(pod, terminated)


def _just_finished(job: Job, now: datetime) -> bool:
    return job.finish_time is not None and now - job.finish_time < timedelta(seconds=LATE_POD_SECONDS)


def _termination(pod: Pod | None) -> Terminated | None:
    status = pod.container(TRAINER_CONTAINER) if pod is not None else None
    return status.state.terminated if status is not None else None


def _success(terminated: Terminated) -> Published | Ended:
    result = _result(terminated)
    if result.artifact_uri and DIGEST.fullmatch(result.manifest_digest):
        return Published(result)
    message = f"the trainer ended well but did not say what it published: {terminated.message[:200]!r}"
    return Ended(Outcome.TRAINER_FAILED, message, terminated.exit_code)


def _failure(pod: Pod | None, terminated: Terminated) -> Ended:
    if pod is not None and _disrupted(pod):
        return Ended(Outcome.DISRUPTED, _trace(pod) or "the pod was deleted", terminated.exit_code)
    out_of_memory = terminated.reason == "OOMKilled"
    outcome = BY_EXIT_CODE.get(terminated.exit_code, Outcome.TRAINER_FAILED)
    if out_of_memory or outcome is Outcome.OUT_OF_MEMORY:
        return Ended(
            Outcome.OUT_OF_MEMORY, "the trainer was killed, most likely out of memory", ExitCode.KILLED
        )
    result = _result(terminated)
    message = result.message or _unexplained(pod, terminated)
    if result.reason == ACCELERATOR_OUT_OF_MEMORY:
        outcome = Outcome.OUT_OF_MEMORY
    elif outcome is Outcome.PERMISSION_DENIED and result.reason == Outcome.CREDENTIALS_MISSING:
        outcome = Outcome.CREDENTIALS_MISSING
    return Ended(outcome, message, terminated.exit_code)


def _disrupted(pod: Pod) -> bool:
    evicted = pod.status.reason in (
        "Evicted",
        "NodeLost",
        "NodeShutdown",
        "Preempting",
        "Shutdown",
        "Terminated",
    )
    return evicted or pod.metadata.deleting or holds(pod.status.conditions, "DisruptionTarget")


def _trace(pod: Pod | None) -> str:
    """What is said about a pod that did not come to an end by itself."""
    if pod is None:
        return ""
    target = (one for one in pod.status.conditions if one.type == "DisruptionTarget")
    said = next((one.message or one.reason for one in target), "") or pod.status.message or pod.status.reason
    return f"pod {pod.metadata.name}: {said}" if said else ""


def _result(terminated: Terminated) -> TrainingResult:
    try:
        return msgspec.json.decode(terminated.message, type=TrainingResult)
    except msgspec.DecodeError:
        # Anything that dies before our code runs leaves free text, or none.
        return TrainingResult(message=terminated.message)


def _unexplained(pod: Pod | None, terminated: Terminated) -> str:
    name = pod.metadata.name if pod is not None else ""
    return f"the trainer ended with exit code {terminated.exit_code}; see kubectl logs {name}"
