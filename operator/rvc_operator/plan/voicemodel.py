"""VoiceModel: from everything observed to everything to be done, in one pure step."""

from __future__ import annotations

from dataclasses import replace as replace_plan
from datetime import datetime

from msgspec.structs import replace

from rvc_operator.api.common import ConditionStatus, Metadata
from rvc_operator.api.conditions import Verdict, merge, ready
from rvc_operator.api.reasons import ConditionType, Reason
from rvc_operator.api.rules import InvalidSpec, decode
from rvc_operator.api.voicemodel import (
    RevisionStatus,
    Serving,
    VoiceModel,
    VoiceModelStatus,
)
from rvc_operator.build.accelerator import accelerator_of
from rvc_operator.config import Config

from .actions import VoicePlan
from .events import transitions
from .observed import ObservedVoice
from .revision import training_revision
from .serving import ServingPlan, plan_scaling, plan_serving
from .step import Step, TrainingPlan
from .training import plan_training, status_to_go_on_from


def plan_voice(observed: ObservedVoice, config: Config, now: datetime) -> VoicePlan:
    """Decide what to do for a VoiceModel; `now` is in whole seconds, as times in the API are."""
    try:
        voice = VoiceModel.from_object(dict(observed.body))
        accelerator_of(voice.spec, config)
    except InvalidSpec as error:
        return _invalid(observed, str(error), now)
    revision = training_revision(voice.spec)
    training = plan_training(voice, revision, observed, config, now)
    artifact = training.artifact or voice.status.artifact
    published = revision if training.artifact is not None else voice.status.revision.serving
    serving = plan_serving(voice, artifact, published, observed, config, now)
    verdicts = (*_ready(voice, published, training), training.verdict, serving.verdict)
    conditions = merge(voice.status.conditions, sorted(verdicts, key=_order), voice.metadata.generation, now)
    status = VoiceModelStatus(
        observed_generation=voice.metadata.generation,
        conditions=conditions,
        revision=RevisionStatus(desired=revision, serving=published),
        training=training.status,
        artifact=artifact,
        serving=serving.status,
    )
    return VoicePlan(
        status,
        create=training.create,
        apply=serving.apply,
        scale=serving.scale,
        delete=training.delete,
        events=transitions(voice.status.conditions, conditions),
        requeue_seconds=_soonest(training, serving),
    )


def plan_rejected_voice(
    observed: ObservedVoice, config: Config, reached: VoiceModelStatus | None, message: str, now: datetime
) -> VoicePlan:
    """Say that the API server refuses a child; it is asked again, its rules may change.

    `reached` is the status that holds all the same, None when it is training itself that is held up. The
    generation is answered by this, so training that begins anew because of it must be written down, too.
    """
    if reached is None:
        voice = VoiceModel.from_object(dict(observed.body))
        step = Step(voice, training_revision(voice.spec), observed, config, now)
        reached = replace(voice.status, training=status_to_go_on_from(step))
    return _stopped(observed, Reason.REJECTED, message, now, reached)


def _invalid(observed: ObservedVoice, message: str, now: datetime) -> VoicePlan:
    """Say what is wrong and start nothing new; a published voice is served as before, on demand."""
    plan = _stopped(observed, Reason.INVALID_SPEC, message, now)
    status, spec = plan.status, observed.body.get("spec", {})
    published = status.revision.serving
    if status.artifact is None or published is None:
        return plan
    try:
        serving = decode(Serving, spec.get("serving", {}), "spec.serving")
    except InvalidSpec:
        # What is there may finish its work.
        there = observed.deployment.spec.replicas if observed.deployment is not None else 0
        serving = Serving(max_replicas=max(there, 1))
    suspend = spec.get("suspend") is True
    scaled, scale, seconds = plan_scaling(serving, suspend, status.serving, observed, now)
    status = replace(status, serving=scaled)
    if not suspend:
        available = f"revision {published} is served on demand, the spec is not valid: {message}"
        stalled = ready(ConditionStatus.FALSE, Reason.INVALID_SPEC, message)[1:]
        verdicts = (Verdict(ConditionType.READY, ConditionStatus.TRUE, Reason.AVAILABLE, available), *stalled)
        written = VoiceModelStatus.from_object(dict(observed.body)).conditions
        conditions = merge(written, verdicts, status.observed_generation, now)
        status = replace(status, conditions=conditions)
        plan = replace_plan(plan, events=transitions(written, conditions))
    return replace_plan(plan, status=status, scale=scale, requeue_seconds=seconds)


def _stopped(
    observed: ObservedVoice,
    reason: Reason,
    message: str,
    now: datetime,
    reached: VoiceModelStatus | None = None,
) -> VoicePlan:
    """Say what is wrong and leave everything as it is: what runs was asked for by a spec that was right."""
    generation = Metadata.from_object(dict(observed.body)).generation
    written = VoiceModelStatus.from_object(dict(observed.body))
    verdicts = ready(ConditionStatus.FALSE, reason, message)
    conditions = merge(written.conditions, verdicts, generation, now)
    return VoicePlan(
        replace(reached or written, observed_generation=generation, conditions=conditions),
        events=transitions(written.conditions, conditions),
    )


def _ready(voice: VoiceModel, published: str | None, training: TrainingPlan) -> tuple[Verdict, ...]:
    """Ready, and whether the operator is at work or stuck."""
    verdict = training.verdict
    if voice.spec.suspend:
        return ready(
            ConditionStatus.FALSE, Reason.SUSPENDED, "spec.suspend is true; set it to false to go on"
        )
    if published is None:
        return ready(verdict.status, verdict.reason, verdict.message)
    message = f"revision {published} is served on demand"
    if verdict.status is ConditionStatus.TRUE:
        return ready(ConditionStatus.TRUE, Reason.AVAILABLE, message)
    # An older revision goes on serving, whatever becomes of the wanted one.
    available = Verdict(
        ConditionType.READY,
        ConditionStatus.TRUE,
        Reason.AVAILABLE,
        f"{message}, the wanted one is not: {verdict.message}",
    )
    return (available, *ready(verdict.status, verdict.reason, verdict.message)[1:])


def _order(verdict: Verdict) -> int:
    return list(ConditionType).index(verdict.type)


def _soonest(training: TrainingPlan, serving: ServingPlan) -> float | None:
    waits = [wait for wait in (training.requeue_seconds, serving.requeue_seconds) if wait is not None]
    return min(waits, default=None)
