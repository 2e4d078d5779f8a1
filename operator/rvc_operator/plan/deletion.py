"""Deleting a voice: by itself where its files stay, held by a finalizer where they go with it.

First nothing may write any more, then a Job removes the files, then the voice is let go. Whatever goes wrong,
it is let go, too, with a warning that names what is left: the Job and the wait for it have a time limit, an
annotation ends both at once, and a namespace that is being deleted takes no Job at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from rvc_operator.api.common import ConditionStatus, Metadata
from rvc_operator.api.conditions import merge, ready
from rvc_operator.api.names import FINALIZER, SKIP_CLEAN_UP_ANNOTATION
from rvc_operator.api.reasons import Reason
from rvc_operator.api.rules import InvalidSpec
from rvc_operator.api.voicemodel import DeletionPolicy, VoiceModel, VoiceModelStatus
from rvc_operator.build.clean_up import CLEAN_UP_SECONDS, clean_up_job, files_of
from rvc_operator.build.pod import Manifest
from rvc_operator.config import Config

from .actions import Event
from .attempt import Ended, attempt_end
from .events import transitions
from .observed import ObservedVoice
from .pending import pending_reason
from .step import lost, newest_pod

NAMESPACE_GOES = "because it is being terminated"
"""What the API server says of an object in a namespace that is being deleted."""
LOOK_SECONDS = 15.0
"""Between two looks; news of Jobs and pods bring the voice up anyway."""


@dataclass(frozen=True)
class DeletionPlan:
    """For a VoiceModel that is held while its files are removed: Jobs and servers, then status, then events,
    then the finalizer."""

    status: VoiceModelStatus
    delete: tuple[str, ...] = ()
    """Jobs that go, with their pods."""
    scale: int | None = None
    create: tuple[Manifest, ...] = ()
    events: tuple[Event, ...] = ()
    release: bool = False
    """Take the finalizer away: the voice goes."""
    requeue_seconds: float | None = None


def held(body: Mapping[str, Any]) -> bool:
    """Whether a VoiceModel carries the finalizer."""
    return FINALIZER in body["metadata"].get("finalizers", ())


def finalizers_to_write(body: Mapping[str, Any]) -> list[str] | None:
    """The finalizers that a VoiceModel is to have by its deletion policy, None if it has them."""
    wanted = body.get("spec", {}).get("deletionPolicy") == DeletionPolicy.DELETE
    if wanted == held(body):
        return None
    return [*body["metadata"].get("finalizers", ()), FINALIZER] if wanted else other_finalizers(body)


def other_finalizers(body: Mapping[str, Any]) -> list[str]:
    """Those that are not ours."""
    return [each for each in body["metadata"].get("finalizers", ()) if each != FINALIZER]


def plan_deletion(observed: ObservedVoice, config: Config, now: datetime) -> DeletionPlan:
    """Decide the next step towards the end of a deleted voice that is held."""
    if Metadata.from_object(dict(observed.body)).annotations.get(SKIP_CLEAN_UP_ANNOTATION) == "true":
        return _let_go(observed)
    try:
        voice = VoiceModel.from_object(dict(observed.body))
    except InvalidSpec as error:
        return _let_go(observed, f"the files of the voice stay, its spec is not valid: {error}")
    job = observed.clean_up
    if job is None:
        return _made_quiet(voice, observed, config, now)
    if job.complete:
        return _let_go(observed)
    pod = newest_pod(job, observed.cleaners)
    if job.failed:
        end = attempt_end(job, job.metadata.name, pod, now)
        said = end.message if isinstance(end, Ended) else f"Job {job.metadata.name} failed"
        return _let_go(observed, f"the files below {files_of(voice)} stay: {said}")
    why = pending_reason(pod)[1] if pod is not None and pod.status.phase == "Pending" else "it is at work"
    if now - job.metadata.creation_timestamp >= timedelta(seconds=CLEAN_UP_SECONDS):
        message = f"not all files below {files_of(voice)} were removed within {CLEAN_UP_SECONDS} s: {why}"
        return _let_go(observed, message)
    return _waiting(
        observed, f"Job {job.metadata.name} removes the files below {files_of(voice)}: {why}", now
    )


def plan_refused_clean_up(observed: ObservedVoice, message: str, now: datetime) -> DeletionPlan:
    """What follows when the API server takes no Job: it is asked again for a while, but for nothing in a
    namespace that goes."""
    deleted = Metadata.from_object(dict(observed.body)).deletion_timestamp or now
    if NAMESPACE_GOES in message or now - deleted >= timedelta(seconds=CLEAN_UP_SECONDS):
        return _let_go(observed, f"the files of the voice stay: {message}")
    return _waiting(observed, f"the Job that removes the voice's files is refused: {message}", now)


def _made_quiet(voice: VoiceModel, observed: ObservedVoice, config: Config, now: datetime) -> DeletionPlan:
    """Nothing may read or write the files when the Job begins."""
    busy = tuple(job for job in observed.jobs if not job.finished)
    deployment = observed.deployment
    scale = 0 if deployment is not None and deployment.spec.replicas > 0 else None
    if busy or any(pod.live and not lost(pod, now) for pod in observed.trainers):
        plan = _waiting(observed, "training is being ended before the voice's files are removed", now)
        jobs = tuple(job.metadata.name for job in busy if not job.metadata.deleting)
        return DeletionPlan(plan.status, jobs, scale, events=plan.events, requeue_seconds=config.poll_seconds)
    plan = _waiting(observed, f"the files below {files_of(voice)} are about to be removed", now)
    return DeletionPlan(
        plan.status,
        scale=scale,
        create=(clean_up_job(voice, config),),
        events=plan.events,
        requeue_seconds=plan.requeue_seconds,
    )


def _waiting(observed: ObservedVoice, message: str, now: datetime) -> DeletionPlan:
    body = dict(observed.body)
    written = VoiceModelStatus.from_object(body)
    verdicts = ready(ConditionStatus.UNKNOWN, Reason.CLEANING_UP, message)
    generation = Metadata.from_object(body).generation
    conditions = merge(written.conditions, verdicts, generation, now)
    return DeletionPlan(
        replace(written, observed_generation=generation, conditions=conditions),
        events=transitions(written.conditions, conditions),
        requeue_seconds=LOOK_SECONDS,
    )


def _let_go(observed: ObservedVoice, warning: str = "") -> DeletionPlan:
    events = (Event(Reason.CLEAN_UP_FAILED, warning, warning=True),) if warning else ()
    job = observed.clean_up
    # Another voice of this name may come, and its files are in the same folder.
    late = job is not None and not job.finished and not job.metadata.deleting
    return DeletionPlan(
        VoiceModelStatus.from_object(dict(observed.body)),
        delete=(job.metadata.name,) if job is not None and late else (),
        events=events,
        release=True,
    )
