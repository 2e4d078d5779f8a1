"""One step of training: what it is decided from, what it may answer, and which Jobs and pods it is about."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from rvc_operator.api import names
from rvc_operator.api.common import ConditionStatus
from rvc_operator.api.conditions import Verdict
from rvc_operator.api.objects import Job, Pod
from rvc_operator.api.reasons import ConditionType, Reason
from rvc_operator.api.voicemodel import Artifact, TrainingStatus, VoiceModel
from rvc_operator.build.pod import Manifest
from rvc_operator.config import Config

from .observed import ObservedVoice

STUCK_POD_SECONDS = 30
"""How long a deleted pod may outlive its grace period before it is taken for lost with its node."""


@dataclass(frozen=True)
class TrainingPlan:
    """The half of a VoicePlan that is about training."""

    status: TrainingStatus
    verdict: Verdict
    """The condition Trained."""
    artifact: Artifact | None = None
    """Set when the wanted revision has just been published."""
    create: tuple[Manifest, ...] = ()
    delete: tuple[str, ...] = ()
    requeue_seconds: float | None = None


@dataclass(frozen=True)
class Step:
    """What every decision about one attempt needs to know."""

    voice: VoiceModel
    revision: str
    """Revision that the spec asks for."""
    observed: ObservedVoice
    config: Config
    now: datetime

    @property
    def status(self) -> TrainingStatus:
        """Where training stands."""
        return self.voice.status.training

    def job_name(self, attempt: int) -> str:
        """Name of an attempt's Job."""
        return names.job_name(self.voice.metadata.name, self.revision, attempt)

    def job(self, name: str) -> Job | None:
        """The Job of that name, if it is there."""
        return next((job for job in self.observed.jobs if job.metadata.name == name), None)


def superfluous(step: Step, status: TrainingStatus) -> tuple[str, ...]:
    """Jobs that have no use under `status`: all but the current attempt, and the one before for its log.

    Of these, too, none may run on: an attempt that is over has no live Job.
    """
    over = status.next_retry_time is not None or status.completion_time is not None
    current, previous = step.job_name(status.attempt), step.job_name(status.attempt - 1)
    useful = {current, previous}
    may_run = set() if over else {current}
    return tuple(
        job.metadata.name
        for job in step.observed.jobs
        if not job.metadata.deleting and job.metadata.name not in (useful if job.finished else may_run)
    )


def leaving_pods(step: Step, job: Job | None) -> bool:
    """Whether a pod that is not of `job` may still be writing checkpoints, or removing what a deleted voice
    of this name left."""
    mine = pods_of(job, step.observed.trainers)
    others = (*step.observed.trainers, *step.observed.cleaners)
    return any(pod.live and pod not in mine and not lost(pod, step.now) for pod in others)


def newest_pod(job: Job | None, pods: Iterable[Pod]) -> Pod | None:
    """The pod of an attempt; the newest, should its Job have made another one."""
    return max(pods_of(job, pods), key=lambda pod: pod.metadata.creation_timestamp, default=None)


def pods_of(job: Job | None, pods: Iterable[Pod]) -> list[Pod]:
    """The pods that a Job made."""
    return [pod for pod in pods if job is not None and pod.metadata.owner == job.metadata.uid]


def trained(status: ConditionStatus, reason: Reason, message: str) -> Verdict:
    """The condition Trained."""
    return Verdict(ConditionType.TRAINED, status, reason, message)


def lost(pod: Pod, now: datetime) -> bool:
    """Whether the pod was deleted so long ago that it must be gone with its node."""
    deleted = pod.metadata.deletion_timestamp
    return deleted is not None and now - deleted > timedelta(seconds=STUCK_POD_SECONDS)
