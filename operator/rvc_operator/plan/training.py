"""From a spec to a published voice: one attempt after the other, each of them a Job.

`status.training` is the only memory. An attempt is live while it has neither `nextRetryTime` nor
`completionTime`; its end is first written down, and only then are Jobs removed, so that dying in between
repeats nothing and loses nothing. The number in a Job's name only ever grows; `failures` counts what
`backoffLimit` is held against.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from rvc_operator.api.common import ConditionStatus
from rvc_operator.api.objects import Job, Pod
from rvc_operator.api.reasons import Reason
from rvc_operator.api.voicemodel import TrainingStatus, VoiceModel
from rvc_operator.build.job import training_job
from rvc_operator.config import Config

from .attempt import Ended, Published, attempt_end
from .ending import concluded, give_up, given_up, published, retrying
from .hung import hung, with_news
from .observed import ObservedVoice
from .pending import STARTING, Why, pending_reason
from .retry import seconds_until
from .step import Step, TrainingPlan, leaving_pods, newest_pod, superfluous, trained
from .working_time import active_seconds, at_rest, at_work, ended, gpus

POD_CREATION_SECONDS = 30
"""How long the Job controller may take to make a pod before something must be wrong."""


def plan_training(
    voice: VoiceModel, revision: str, observed: ObservedVoice, config: Config, now: datetime
) -> TrainingPlan:
    """Decide the next step towards `revision`."""
    step = Step(voice, revision, observed, config, now)
    if voice.status.artifact is not None and voice.status.revision.serving == revision:
        verdict = trained(ConditionStatus.TRUE, Reason.PUBLISHED, f"revision {revision} is published")
        # Another revision may have been at work when the spec came back to this one.
        status = at_rest(step.status, step.now)
        return TrainingPlan(status, verdict, delete=superfluous(step, status))
    status = status_to_go_on_from(step)
    if voice.spec.suspend:
        return _suspended(step, status)
    if status.completion_time is not None:
        return TrainingPlan(status, given_up(status), delete=superfluous(step, status))
    if status.attempt == 0 or status.next_retry_time is not None:
        return _between_attempts(step, status)
    return _during_attempt(step, status)


def status_to_go_on_from(step: Step) -> TrainingStatus:
    """The status as it is, or a fresh one for another revision or for a spec changed after giving up."""
    status = step.status
    if status.revision != step.revision:
        return TrainingStatus(revision=step.revision, gpu_seconds=at_rest(status, step.now).gpu_seconds)
    changed = step.voice.metadata.generation > step.voice.status.observed_generation
    if changed and status.completion_time is not None:
        fresh = replace(status, failures=0, completion_time=None, active_seconds=0, batch_parts=None)
        return replace(fresh, next_retry_time=step.now)
    return status


def _suspended(step: Step, status: TrainingStatus) -> TrainingPlan:
    live = status.attempt > 0 and status.completion_time is None
    if live and status.next_retry_time is None:
        status = replace(status, next_retry_time=step.now)
    # Whoever lets training go on gives it all of its time again.
    status = replace(at_rest(status, step.now), active_seconds=0)
    verdict = trained(ConditionStatus.FALSE, Reason.SUSPENDED, "spec.suspend is true")
    return TrainingPlan(status, verdict, delete=superfluous(step, status))


def _between_attempts(step: Step, status: TrainingStatus) -> TrainingPlan:
    if status.next_retry_time is not None and status.next_retry_time > step.now:
        wait = seconds_until(status.next_retry_time, step.now)
        return TrainingPlan(
            status, retrying(step, status), delete=superfluous(step, status), requeue_seconds=wait
        )
    attempt = status.attempt + 1
    name = step.job_name(attempt)
    job = step.job(name)
    if any(not other.finished for other in step.observed.jobs if other is not job) or leaving_pods(step, job):
        waiting = trained(ConditionStatus.UNKNOWN, Reason.PENDING, "waiting for the previous attempt to end")
        return TrainingPlan(
            status, waiting, delete=superfluous(step, status), requeue_seconds=step.config.poll_seconds
        )
    manifest = training_job(step.voice, step.config, step.revision, attempt, status.batch_parts or 1)
    started = replace(
        status,
        attempt=attempt,
        job_name=name,
        next_retry_time=None,
        start_time=status.start_time or step.now,
        stage=None,
        estimated_remaining_seconds=None,
        last_updated_time=None,
        gpus=gpus(step),
        total_epochs=step.voice.spec.training.epochs if step.voice.spec.import_ is None else 0,
    )
    verdict = trained(ConditionStatus.UNKNOWN, STARTING[0], f"attempt {attempt}: {STARTING[1]}")
    # Also created when one of that name is there: the runtime then makes sure that it is ours.
    return TrainingPlan(
        started,
        verdict,
        create=(manifest,),
        delete=superfluous(step, started),
        requeue_seconds=POD_CREATION_SECONDS,
    )


def _during_attempt(step: Step, status: TrainingStatus) -> TrainingPlan:
    name = step.job_name(status.attempt)
    job = step.job(name)
    pod = newest_pod(job, step.observed.trainers)
    end = attempt_end(job, name, pod, step.now)
    if isinstance(end, Published):
        return published(step, ended(step, status, job, pod), end.result)
    if isinstance(end, Ended):
        return concluded(step, ended(step, status, job, pod), end)
    if job is not None and job.finished:
        waiting = trained(
            ConditionStatus.UNKNOWN, Reason.TRAINING, f"Job {name} has ended, its pod is about to say how"
        )
        return TrainingPlan(status, waiting, requeue_seconds=step.config.poll_seconds)
    why = _why_waiting(step, job, pod)
    running = why[0] is Reason.TRAINING
    if running and pod is not None and not pod.metadata.deleting:
        status = at_work(status, pod, step.now)
    elif why[0] is Reason.QUEUED:
        status = at_rest(status, step.now)
    overdue = _overdue(step, status, job, why)
    if overdue is not None:
        return give_up(step, ended(step, status, job, pod), *overdue)
    verdict = trained(ConditionStatus.UNKNOWN, why[0], f"attempt {status.attempt}: {why[1]}")
    status = with_news(step, status)
    stuck = hung(step, status, pod) if running and pod is not None else None
    if stuck is not None:
        return concluded(step, ended(step, status, job, pod), stuck)
    return TrainingPlan(
        status,
        verdict,
        delete=superfluous(step, status),
        requeue_seconds=step.config.poll_seconds if running else POD_CREATION_SECONDS,
    )


def _why_waiting(step: Step, job: Job | None, pod: Pod | None) -> Why:
    if job is not None and job.held:
        return Reason.QUEUED, f"Job {job.metadata.name} waits in the queue {step.voice.spec.queue_name}"
    if pod is None:
        if job is not None and _pending(step, job) >= timedelta(seconds=POD_CREATION_SECONDS):
            return Reason.POD_NOT_CREATED, f"no pod yet; see kubectl describe job {job.metadata.name}"
        return STARTING
    if pod.status.phase == "Pending":
        return pending_reason(pod)
    return Reason.TRAINING, f"pod {pod.metadata.name} is at work"


def _overdue(step: Step, status: TrainingStatus, job: Job | None, why: Why) -> tuple[str, str] | None:
    """Reason and message of the deadline that has passed, if one has."""
    training = step.voice.spec.training
    if active_seconds(status, step.now) >= training.active_deadline_seconds:
        message = f"training was at work for more than {training.active_deadline_seconds} s"
        return Reason.DEADLINE_EXCEEDED, message
    if job is None or why[0] in (Reason.TRAINING, Reason.QUEUED):
        return None
    if _pending(step, job) >= timedelta(seconds=training.pending_deadline_seconds):
        return why[0], f"nothing ran within {training.pending_deadline_seconds} s: {why[1]}"
    return None


def _pending(step: Step, job: Job) -> timedelta:
    """How long a Job has been allowed to run; time in a queue is not held against it."""
    return step.now - (job.pending_since or step.now)
