"""VoiceModels: observe, plan, apply."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from rvc_operator.api.names import COMPONENT_LABEL, Component, clean_up_job_name, server_name
from rvc_operator.api.objects import Deployment, Job, Pod, Service, view
from rvc_operator.plan import demand
from rvc_operator.plan.actions import VoicePlan
from rvc_operator.plan.deletion import (
    DeletionPlan,
    finalizers_to_write,
    held,
    other_finalizers,
    plan_deletion,
    plan_refused_clean_up,
)
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
    if body is None:
        return None
    observed = await _observe(shell, key, body)
    if body["metadata"].get("deletionTimestamp"):
        # The children go by their owner references.
        return await _let_go(shell, key, observed) if held(body) else None
    plan = plan_voice(observed, shell.config, shell.now())
    owner, reached, finalizers = body["metadata"]["uid"], None, finalizers_to_write(body)
    try:
        if finalizers is not None:
            await shell.write_finalizers(key, body, finalizers)
            return 0.0
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
    all_jobs = shell.cache.of_voice(Kind.JOB, key.namespace, key.name)
    cleaning = clean_up_job_name(key.name, uid)
    jobs = _mine(uid, all_jobs, Job)
    deployments = _mine(uid, shell.cache.of_voice(Kind.DEPLOYMENT, key.namespace, key.name), Deployment)
    services = _mine(uid, shell.cache.of_voice(Kind.SERVICE, key.namespace, key.name), Service)
    pods = [view(Pod, one) for one in shell.cache.of_voice(Kind.POD, key.namespace, key.name)]
    servers = _component(pods, Component.SERVER)
    clean_up = next((view(Job, one) for one in all_jobs if one["metadata"]["name"] == cleaning), None)
    trainers = await _with_untold(shell, _undecided_job(body, jobs), _component(pods, Component.TRAINER))
    cleaners = await _with_untold(shell, clean_up, _component(pods, Component.CLEAN_UP))
    trainer = _running_trainer(body, jobs, trainers)
    return ObservedVoice(
        body=body,
        jobs=jobs,
        trainers=trainers,
        deployment=next(iter(deployments), None),
        service=next(iter(services), None),
        servers=servers,
        clean_up=clean_up,
        cleaners=cleaners,
        server_problem=await _server_problem(shell, servers),
        demands=demand.demands(conversions),
        revisions_in_use=demand.revisions_in_use(conversions),
        progress=await shell.pods.progress(trainer) if trainer is not None else None,
        silent_seconds=shell.pods.silences.seconds(trainer.uid) if trainer is not None else 0.0,
    )


async def _let_go(shell: Shell, key: Key, observed: ObservedVoice) -> float | None:
    """Bring a deleted voice nearer to its end."""
    plan = plan_deletion(observed, shell.config, shell.now())
    try:
        for manifest in plan.create:
            await shell.create(Kind.JOB, manifest, owner=None)
    except ApiError as error:
        # Of a namespace that has gone meanwhile 404 is said.
        if error.status not in REJECTED_STATUSES | {404}:
            raise
        plan = plan_refused_clean_up(observed, str(error), shell.now())
    if plan.scale is not None:
        await shell.scale(Key(Kind.DEPLOYMENT, key.namespace, server_name(key.name)), plan.scale)
    seconds = await _finish(shell, key, dict(observed.body), plan)
    body = shell.cache.get(key)
    if not plan.release or body is None:
        return seconds
    try:
        return None if await shell.write_finalizers(key, body, other_finalizers(body)) else 0.0
    except NotFound:
        return None


def _mine(uid: str, bodies: list[Body], kind: type[C]) -> tuple[C, ...]:
    """The children of this voice, not those of a deleted one of the same name."""
    children = (view(kind, body) for body in bodies)
    return tuple(child for child in children if child.metadata.owner == uid)


def _component(pods: list[Pod], component: Component) -> tuple[Pod, ...]:
    return tuple(pod for pod in pods if pod.metadata.labels.get(COMPONENT_LABEL) == component)


def _undecided_job(body: Body, jobs: tuple[Job, ...]) -> Job | None:
    """The Job of the attempt that goes on, as far as the status says."""
    training = body.get("status", {}).get("training", {})
    if training.get("completionTime") or training.get("nextRetryTime"):
        return None
    return next((job for job in jobs if job.metadata.name == training.get("jobName")), None)


async def _with_untold(shell: Shell, job: Job | None, pods: tuple[Pod, ...]) -> tuple[Pod, ...]:
    """`pods`, with those of a finished Job if none of them is known: Jobs and pods are watched apart, and a
    pod that the watch has not told of yet must not be taken for gone with all that it has to say."""
    if job is None or not job.finished or newest_pod(job, pods) is not None:
        return pods
    made, _ = await shell.kube.list(Kind.POD, job.metadata.namespace, f"job-name={job.metadata.name}")
    return (*pods, *(view(Pod, one) for one in made))


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


async def _finish(shell: Shell, key: Key, body: Body, plan: VoicePlan | DeletionPlan) -> float | None:
    try:
        if not await shell.write_status(key, body, plan.status):
            return 0.0
    except NotFound:
        return None
    for name in plan.delete:
        await shell.delete(Key(Kind.JOB, key.namespace, name))
    await shell.tell(Kind.VOICE, body, plan.events)
    return plan.requeue_seconds
