"""Voices with `deletionPolicy: Delete` on a real API server: held, cleaned up after, and always let go."""

import pytest

from rvc_operator.api.names import FINALIZER, SKIP_CLEAN_UP_ANNOTATION
from rvc_operator.runtime.cache import Key, Kind

from .kubelet import Exit, Hold, Work
from .manifests import conversion_spec, voice_spec
from .world import World

pytestmark = pytest.mark.cluster

NEVER = Hold("PodScheduled", "Unschedulable", "no node")


async def _held(world: World) -> None:
    """A published voice with a server, which is held."""
    await world.create(Kind.VOICE, "alice", voice_spec(deletionPolicy="Delete", serving={"minReplicas": 1}))
    voice = await world.until_ready(Kind.VOICE, "alice", "True", "Available")
    assert voice["metadata"]["finalizers"] == [FINALIZER]


async def _gone(world: World) -> None:
    async def nothing_is_left() -> bool:
        return await world.names(Kind.VOICE) == []

    await world.until("the voice has gone", nothing_is_left)


def _clean_ups(names: list[str]) -> list[str]:
    return [name for name in names if "-clean-up-" in name]


async def test_files_go_before_the_voice_does(world: World) -> None:
    world.kubelet.cleaners_do = NEVER
    await _held(world)
    await world.delete(Kind.VOICE, "alice")
    await world.create(Kind.CONVERSION, "late", conversion_spec())
    await world.until_ready(Kind.VOICE, "alice", "Unknown", "CleaningUp")
    await world.until_ready(Kind.CONVERSION, "late", "Unknown", "WaitingForVoice")

    async def begun() -> bool:
        return _clean_ups([name for name, _ in world.kubelet.pods.values()]) != []

    await world.until("a pod removes the files", begun)
    assert [one["spec"]["replicas"] for one in await world.all(Kind.DEPLOYMENT)] == [0]
    [cleaner] = [uid for uid, (name, _) in world.kubelet.pods.items() if "-clean-up-" in name]
    await world.kubelet.finish(cleaner, Exit(message="{}"))
    await _gone(world)
    assert "CleanUpFailed" not in world.events()


async def test_training_ends_before_the_files_go(world: World) -> None:
    world.kubelet.script.append(Work())
    await world.create(Kind.VOICE, "alice", voice_spec(deletionPolicy="Delete"))
    await world.until_ready(Kind.VOICE, "alice", "Unknown", "Training")
    await world.delete(Kind.VOICE, "alice")
    await _gone(world)
    [job] = await world.all(Kind.JOB)
    assert "-clean-up-" in job["metadata"]["name"]


async def test_files_that_cannot_be_removed_are_named(world: World) -> None:
    world.kubelet.cleaners_do = Exit(12, '{"message": "the bucket refuses"}')
    await _held(world)
    # One try is enough here: Kubernetes waits ten seconds and more between two.
    await world.delete(Kind.VOICE, "alice")

    async def a_job() -> bool:
        return _clean_ups(await world.names(Kind.JOB)) != []

    await world.until("a Job removes the files", a_job)
    [name] = _clean_ups(await world.names(Kind.JOB))
    await world.kube.patch(Key(Kind.JOB, world.namespace, name), {"spec": {"activeDeadlineSeconds": 1}})
    await _gone(world)
    assert "CleanUpFailed" in world.events()


async def test_an_annotation_is_a_way_out(world: World) -> None:
    world.kubelet.cleaners_do = NEVER
    await _held(world)
    await world.delete(Kind.VOICE, "alice")
    await world.until_ready(Kind.VOICE, "alice", "Unknown", "CleaningUp")
    mark = {"metadata": {"annotations": {SKIP_CLEAN_UP_ANNOTATION: "true"}}}
    await world.kube.patch(Key(Kind.VOICE, world.namespace, "alice"), mark)
    await _gone(world)


async def test_a_namespace_is_not_held_back(world: World) -> None:
    world.kubelet.cleaners_do = NEVER
    await _held(world)
    world.kubectl("delete", "namespace", world.namespace, "--wait=false")

    async def gone() -> bool:
        found = world.kubectl.json("get", "namespaces")["items"]
        return world.namespace not in [one["metadata"]["name"] for one in found]

    await world.until("the namespace has gone", gone)


async def test_another_policy_lets_a_voice_go_by_itself(world: World) -> None:
    await _held(world)
    await world.edit(Kind.VOICE, "alice", {"deletionPolicy": "Retain"})

    async def free() -> bool:
        return "finalizers" not in (await world.get(Kind.VOICE, "alice"))["metadata"]

    await world.until("it is held no more", free)
    await world.delete(Kind.VOICE, "alice")
    await _gone(world)
    assert _clean_ups(await world.names(Kind.JOB)) == []
