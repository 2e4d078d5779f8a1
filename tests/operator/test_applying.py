"""Applying the same YAML again, by any tool and in any way: no conflict, no difference, nothing done."""

import asyncio
import json
from typing import Any

import pytest

from rvc_operator.api.common import API_VERSION
from rvc_operator.api.names import MANAGER
from rvc_operator.runtime.cache import Kind

from .kubelet import Work
from .manifests import conversion_spec, voice_spec
from .world import World, condition

pytestmark = pytest.mark.cluster

WAYS = (
    (),
    ("--server-side",),
    ("--server-side", "--field-manager=argocd-controller"),
    ("--server-side", "--field-manager=kustomize-controller"),
)
"""Client-side, as kubectl does by itself, and by managers of which none has seen the others."""


def manifest(world: World, kind: Kind, name: str, spec: dict[str, Any]) -> str:
    metadata = {"name": name, "namespace": world.namespace, "labels": {"team": "voices"}}
    return json.dumps({"apiVersion": API_VERSION, "kind": kind.kind, "metadata": metadata, "spec": spec})


def apply(world: World, text: str, way: tuple[str, ...]) -> str:
    return world.kubectl("apply", *way, "--filename=-", stdin=text)


async def there(world: World) -> list[dict[str, Any]]:
    """The voice and the Conversion, as they are."""
    return [*await world.all(Kind.VOICE), *await world.all(Kind.CONVERSION)]


async def test_what_is_applied_again_has_no_conflict_and_no_difference(world: World) -> None:
    both = "\n---\n".join(
        (
            manifest(world, Kind.VOICE, "alice", voice_spec()),
            manifest(world, Kind.CONVERSION, "hello", conversion_spec()),
        )
    )
    apply(world, both, WAYS[0])
    await world.until_ready(Kind.CONVERSION, "hello", "True", "Converted")
    before = await there(world)
    for way in (*WAYS[1:], WAYS[0]):
        apply(world, both, way)
        world.kubectl("diff", *way, "--filename=-", stdin=both)
        settled = await there(world)
        apply(world, both, way)
        for old, once, twice in zip(before, settled, await there(world), strict=True):
            assert twice["metadata"]["resourceVersion"] == once["metadata"]["resourceVersion"], way
            assert twice["metadata"]["generation"] == old["metadata"]["generation"]
            assert twice["spec"] == old["spec"]
            assert condition(twice, "Ready") == condition(old, "Ready")
    assert await world.names(Kind.JOB) == [before[0]["status"]["training"]["jobName"]]


async def test_the_operator_owns_the_status_of_our_kinds_and_nothing_else(world: World) -> None:
    apply(world, manifest(world, Kind.VOICE, "alice", voice_spec()), WAYS[1])
    voice = await world.until_ready(Kind.VOICE, "alice", "True", "Available")
    ours = [one for one in voice["metadata"]["managedFields"] if one["manager"] == MANAGER]
    assert ours
    for entry in ours:
        assert set(entry["fieldsV1"]) == {"f:status"}
    assert not voice["metadata"].get("finalizers")


async def test_an_edit_while_the_operator_writes_status_conflicts_with_nobody(world: World) -> None:
    world.kubelet.script.append(Work())
    apply(world, manifest(world, Kind.VOICE, "alice", voice_spec()), WAYS[2])
    first = await world.until_ready(Kind.VOICE, "alice", "Unknown", "Training")
    apply(
        world, manifest(world, Kind.VOICE, "alice", voice_spec(training={"architecture": "Light"})), WAYS[2]
    )

    async def begun_anew() -> bool:
        status = (await world.get(Kind.VOICE, "alice"))["status"]
        return bool(status["revision"]["desired"] != first["status"]["revision"]["desired"])

    await world.until("the edit is answered", begun_anew)
    await world.until_ready(Kind.VOICE, "alice", "True", "Available")


async def test_kubectl_waits_until_the_current_spec_is_answered(world: World) -> None:
    await world.create(Kind.VOICE, "alice", voice_spec())
    await world.create(Kind.CONVERSION, "hello", conversion_spec())
    waiting = ("wait", "--for=condition=Ready", "voice/alice", "conversion/hello", "--timeout=60s")
    await asyncio.to_thread(world.kubectl, *waiting, f"--namespace={world.namespace}")
    await world.edit(Kind.VOICE, "alice", {"serving": {"idleTimeoutSeconds": 900}})
    await world.edit(Kind.CONVERSION, "hello", {"ttlSecondsAfterFinished": 3600})
    await asyncio.to_thread(world.kubectl, *waiting, f"--namespace={world.namespace}")
    for kind, name in ((Kind.VOICE, "alice"), (Kind.CONVERSION, "hello")):
        body = await world.get(kind, name)
        assert condition(body, "Ready")["observedGeneration"] == body["metadata"]["generation"] == 2


async def test_a_job_that_a_queue_writes_to_is_never_written_by_the_operator(world: World) -> None:
    """Kueue writes `suspend` and its own annotations into the Job; the operator has created it, no more."""
    world.kubelet.script.append(Work())
    await world.create(Kind.VOICE, "alice", voice_spec(queueName="gpus"))
    await world.until_ready(Kind.VOICE, "alice", "Unknown", "Training")
    [name] = await world.names(Kind.JOB)
    place = ("job", name, f"--namespace={world.namespace}")
    world.kubectl("annotate", *place, "kueue.x-k8s.io/job-min-parallelism=1", "--field-manager=kueue")
    world.kubectl(
        "patch", *place, "--type=merge", "--field-manager=kueue", "-p", '{"spec": {"parallelism": 0}}'
    )

    async def pods_have_gone() -> bool:
        return await world.all(Kind.POD) == []

    await world.until("the queue has taken the pod away", pods_have_gone)
    await world.edit(Kind.VOICE, "alice", {"training": {"backoffLimit": 7}})

    async def answered() -> bool:
        body = await world.get(Kind.VOICE, "alice")
        return bool(body["status"]["observedGeneration"] == body["metadata"]["generation"])

    await world.until("the edit is answered", answered)
    [job] = await world.all(Kind.JOB)
    assert job["spec"]["parallelism"] == 0
    assert job["metadata"]["annotations"]["kueue.x-k8s.io/job-min-parallelism"] == "1"
    times = {one["operation"] for one in job["metadata"]["managedFields"] if one["manager"] == MANAGER}
    assert times == {"Update"}
