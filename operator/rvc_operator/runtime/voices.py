"""VoiceModels: observe, plan, apply."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from rvc_operator.api.names import COMPONENT_LABEL, Component, server_name
from rvc_operator.api.objects import Deployment, Job, Pod, Service, view
from rvc_operator.plan import demand
from rvc_operator.plan.actions import VoicePlan
from rvc_operator.plan.observed import ObservedVoice
from rvc_operator.plan.step import newest_pod
from rvc_operator.plan.voicemodel import plan_rejected_voice, plan_voice

from .cache import Body, Key, Kind
from .kube import ApiError, NotFound
from .pods import Peer
from .shell import NameTaken, Shell

APPLIED_KINDS = {kind.kind: kind for kind in (Kind.DEPLOYMENT, Kind.SERVICE)}

C = TypeVar("C", Job, Deployment, Service)

REJECTED_STATUSES = frozenset({400, 403, 422})
"""Answers to a write that another try does not better by itself."""


async def reconcile_voice(shell: Shell, key: Key) -> float | None:
    """Bring one VoiceModel forward; seconds until it wants to be looked at again."""
    body = shell.cache.get(key)
    if body is None or body["metadata"].get("deletionTimestamp"):
        # The children go by their owner references.
        return None
    observed = await _observe(shell, key, body)
    plan = plan_voice(observed, shell.config, shell.now())
    owner, reached = body["metadata"]["uid"], None
    try:
        for manifest in plan.create:
            await shell.create(Kind.JOB, manifest, owner)
        # From here on training is where the plan says, whatever becomes of the servers.
        reached = plan.status
        await _write_servers(shell, key, plan, owner)
    except ApiError as error:
        if error.status in REJECTED_STATUSES or isinstance(error, NameTaken):
            rejected = plan_rejected_voice(observed, shell.config, reached, str(error), shell.now())
            await _finish(shell, key, body, rejected)
        raise
    return await _finish(shell, key, body, plan)


async def _observe(shell: Shell, key: Key, body: Body) -> ObservedVoice:
    uid = body["metadata"]["uid"]
    conversions = shell.cache.of_voice(Kind.CONVERSION, key.namespace, key.name)
    jobs = _mine(uid, shell.cache.of_voice(Kind.JOB, key.namespace, key.name), Job)
    deployments = _mine(uid, shell.cache.of_voice(Kind.DEPLOYMENT, key.namespace, key.name), Deployment)
    services = _mine(uid, shell.cache.of_voice(Kind.SERVICE, key.namespace, key.name), Service)
    pods = [view(Pod, one) for one in shell.cache.of_voice(Kind.POD, key.namespace, key.name)]
    trainers, servers = _component(pods, Component.TRAINER), _component(pods, Component.SERVER)
    trainer = _running_trainer(body, jobs, trainers)
    return ObservedVoice(
        body=body,
        jobs=jobs,
        trainers=trainers,
        deployment=next(iter(deployments), None),
        service=next(iter(services), None),
        servers=servers,
        server_problem=await _server_problem(shell, servers),
        demands=demand.demands(conversions),
        revisions_in_use=demand.revisions_in_use(conversions),
        progress=await shell.pods.progress(trainer) if trainer is not None else None,
        silent_seconds=shell.pods.silences.seconds(trainer.uid) if trainer is not None else 0.0,
    )


def _mine(uid: str, bodies: list[Body], kind: type[C]) -> tuple[C, ...]:
    """The children of this voice, not those of a deleted one of the same name."""
    children = (view(kind, body) for body in bodies)
    return tuple(child for child in children if child.metadata.owner == uid)


def _component(pods: list[Pod], component: Component) -> tuple[Pod, ...]:
    return tuple(pod for pod in pods if pod.metadata.labels.get(COMPONENT_LABEL) == component)


def _running_trainer(body: Body, jobs: tuple[Job, ...], trainers: tuple[Pod, ...]) -> Peer | None:
    wanted = body.get("status", {}).get("training", {}).get("jobName")
    job = next((job for job in jobs if job.metadata.name == wanted and not job.finished), None)
    pod = newest_pod(job, trainers)
    if pod is None or pod.status.phase != "Running" or not pod.status.pod_ip:
        return None
    return Peer(pod.status.pod_ip, pod.metadata.uid)


async def _server_problem(shell: Shell, servers: tuple[Pod, ...]) -> str:
    """What keeps the servers from being ready, if one of them says so and none is."""
    if any(pod.ready for pod in servers):
        return ""
    running = [pod for pod in servers if pod.status.phase == "Running" and not pod.metadata.deleting]
    answers = await asyncio.gather(*(shell.pods.problem(pod.status.pod_ip) for pod in running))
    return next(filter(None, answers), "")


async def _write_servers(shell: Shell, key: Key, plan: VoicePlan, owner: str) -> None:
    for manifest in plan.apply:
        await shell.apply(APPLIED_KINDS[manifest["kind"]], manifest, owner)
    if plan.scale is not None:
        await shell.scale(Key(Kind.DEPLOYMENT, key.namespace, server_name(key.name)), plan.scale)


async def _finish(shell: Shell, key: Key, body: Body, plan: VoicePlan) -> float | None:
    try:
        if not await shell.write_status(key, body, plan.status):
            return 0.0
    except NotFound:
        return None
    for name in plan.delete:
        await shell.delete(Key(Kind.JOB, key.namespace, name))
    await shell.tell(Kind.VOICE, body, plan.events)
    return plan.requeue_seconds
