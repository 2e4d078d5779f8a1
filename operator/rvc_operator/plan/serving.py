"""How many servers a voice needs, and which revision they speak with.

Demand is what active Conversions still have to do, which the operator knows itself, so nothing is measured.
Servers come as soon as they are needed, up to `maxReplicas`, and go all at once after `idleTimeoutSeconds`
without any work: one that went earlier might take half-converted files with it. While active Conversions have
begun with the revision that is deployed, a newer one waits for them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from rvc_operator.api.common import ConditionStatus
from rvc_operator.api.conditions import Verdict
from rvc_operator.api.names import SERVER_CONTAINER, TEMPLATE_ANNOTATION
from rvc_operator.api.objects import ContainerStatus, Deployment, Pod, Service
from rvc_operator.api.reasons import ConditionType, Reason
from rvc_operator.api.voicemodel import Artifact, Serving, ServingStatus, VoiceModel
from rvc_operator.build.pod import Manifest
from rvc_operator.build.server import server_deployment, server_service, service_url
from rvc_operator.config import Config

from .observed import ObservedVoice
from .pending import STARTING, pending_reason
from .retry import seconds_until


@dataclass(frozen=True)
class ServingPlan:
    """The half of a VoicePlan that is about serving."""

    status: ServingStatus
    verdict: Verdict
    """The condition Serving."""
    apply: tuple[Manifest, ...] = ()
    scale: int | None = None
    requeue_seconds: float | None = None


def plan_serving(
    voice: VoiceModel,
    artifact: Artifact | None,
    revision: str | None,
    observed: ObservedVoice,
    config: Config,
    now: datetime,
) -> ServingPlan:
    """Decide on the servers of the published `artifact`, which is `revision`; None for a voice not yet
    trained."""
    if artifact is None or revision is None:
        message = "there is no published revision yet"
        verdict = Verdict(ConditionType.SERVING, ConditionStatus.FALSE, Reason.NOT_TRAINED, message)
        return ServingPlan(ServingStatus(active_conversions=len(observed.demands)), verdict)
    scaled, seconds = _scaled(voice.spec.serving, voice.spec.suspend, voice.status.serving, observed, now)
    status, replicas, ready = replace(scaled, url=service_url(voice)), scaled.replicas, scaled.ready_replicas
    deployment = server_deployment(voice, config, artifact, revision, replicas)
    service = server_service(voice)
    outdated = _outdated(observed.deployment, deployment) and not _in_use(observed, revision)
    wrong_size = observed.deployment is not None and observed.deployment.spec.replicas != replicas
    waits = [seconds] if seconds is not None else []
    waits += [config.poll_seconds] if replicas > 0 and ready == 0 else []
    return ServingPlan(
        status,
        _verdict(voice, observed, replicas, ready),
        apply=(
            *((service,) if _outdated(observed.service, service) else ()),
            *((deployment,) if outdated else ()),
        ),
        scale=replicas if wrong_size and not outdated else None,
        requeue_seconds=min(waits, default=None),
    )


def plan_scaling(
    serving: Serving, suspend: bool, before: ServingStatus, observed: ObservedVoice, now: datetime
) -> tuple[ServingStatus, int | None, float | None]:
    """Go on with the servers that are there, of a spec that may not say what they should be: the status, the
    replicas if they change, and when to look again."""
    if observed.deployment is None:
        return before, None, None
    status, seconds = _scaled(serving, suspend, before, observed, now)
    changed = observed.deployment.spec.replicas != status.replicas
    return replace(status, url=before.url), status.replicas if changed else None, seconds


def _scaled(
    serving: Serving, suspend: bool, before: ServingStatus, observed: ObservedVoice, now: datetime
) -> tuple[ServingStatus, float | None]:
    """How many servers there are to be, and when servers that are idle will go."""
    active = len(observed.demands)
    used = _last_used(before, active, now)
    idle_from = used + timedelta(seconds=serving.idle_timeout_seconds) if used else now
    current = observed.deployment.spec.replicas if observed.deployment is not None else 0
    replicas = 0 if suspend else wanted_replicas(serving, observed.demands, current, idle_from <= now)
    status = ServingStatus(
        replicas=replicas,
        ready_replicas=sum(pod.ready for pod in observed.servers),
        active_conversions=active,
        last_used_time=used,
    )
    waits_for_idleness = active == 0 and replicas > serving.min_replicas
    return status, seconds_until(idle_from, now) if waits_for_idleness else None


def wanted_replicas(serving: Serving, demands: Sequence[int], current: int, idle: bool) -> int:
    """Servers for active Conversions with so many shards to do each, when there are `current`; `idle` when
    nothing was converted for long.

    Room for all, and as many as the one that is split most asks for.
    """
    needed = max(math.ceil(sum(demands) / serving.conversions_per_replica), max(demands, default=0))
    if demands or not idle:
        needed = max(needed, current)
    return min(max(needed, serving.min_replicas), serving.max_replicas)


def deployed_revision(deployment: Deployment | None) -> str | None:
    """Revision that the servers speak with."""
    return deployment.metadata.revision or None if deployment is not None else None


def _last_used(before: ServingStatus, active: int, now: datetime) -> datetime | None:
    """When the last Conversion ended, or the first one came: the two moments that are worth a write."""
    return now if (active > 0) != (before.active_conversions > 0) else before.last_used_time


def _in_use(observed: ObservedVoice, revision: str) -> bool:
    deployed = deployed_revision(observed.deployment)
    return deployed != revision and deployed in observed.revisions_in_use


def _outdated(live: Deployment | Service | None, wanted: Manifest) -> bool:
    digest = wanted["metadata"]["annotations"][TEMPLATE_ANNOTATION]
    return live is None or live.metadata.annotations.get(TEMPLATE_ANNOTATION) != digest


def _verdict(voice: VoiceModel, observed: ObservedVoice, replicas: int, ready: int) -> Verdict:
    if ready:
        message = f"{ready} of {replicas} servers ready"
        return Verdict(ConditionType.SERVING, ConditionStatus.TRUE, Reason.SERVING, message)
    if replicas == 0:
        message = "no server runs; the next Conversion starts one"
        if voice.spec.serving.token_secret_ref is not None and not voice.spec.suspend:
            message += ". Direct requests find nobody until then: set serving.minReplicas to 1 to keep one"
        return Verdict(ConditionType.SERVING, ConditionStatus.FALSE, Reason.SCALED_TO_ZERO, message)
    starting = Reason.STARTING, f"0 of {replicas} servers ready: starting and loading the voice"
    if observed.server_problem:
        starting = Reason.SERVER_FAILING, observed.server_problem
    troubles = (why for pod in observed.servers if (why := _trouble(pod)) is not None)
    reason, message = next(troubles, starting)
    return Verdict(ConditionType.SERVING, ConditionStatus.UNKNOWN, reason, message)


def _trouble(pod: Pod) -> tuple[Reason, str] | None:
    """What keeps a server from becoming ready, if it is more than time."""
    container = pod.container(SERVER_CONTAINER)
    if container is not None and _failing(container):
        ended = container.last_state.terminated
        said = ended.message.strip() if ended is not None else ""
        return (
            Reason.SERVER_FAILING,
            said or f"the server ends by itself; see kubectl logs {pod.metadata.name}",
        )
    why = pending_reason(pod)
    return None if why == STARTING else why


def _failing(container: ContainerStatus) -> bool:
    waiting = container.state.waiting
    return waiting is not None and waiting.reason == "CrashLoopBackOff"
