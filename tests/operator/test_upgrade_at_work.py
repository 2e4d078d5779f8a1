"""An upgrade as the guide says, on a real API server with work under way: the CRDs first, then the operator.

What the first release knew of the API is this release's schema without the fields that came since, and with
the one `assignment` that a Conversion had before it could be shared by several servers.
"""

import copy
import json
from typing import Any

import pytest

from crds.generate import FOLDER, definitions
from rvc_operator.api.common import API_VERSION
from rvc_operator.runtime.cache import Key, Kind

from .kubelet import Exit, Work
from .manifests import conversion_spec, voice_spec
from .stand_ins import ONE_FILE_CONVERTED
from .world import World, condition

pytestmark = pytest.mark.cluster

SINCE = {
    "voicemodels.yaml": (
        "spec.training.earlyStoppingEpochs",
        "spec.training.gradientCheckpointing",
        "spec.training.multiSpeaker",
        "status.training.activeSeconds",
        "status.training.activeSince",
        "status.training.batchParts",
        "status.training.gpus",
        "status.training.lastUpdatedTime",
    ),
    "conversions.yaml": (
        "spec.output.signedLinks",
        "spec.parameters.formantShiftCents",
        "status.shards",
    ),
}
Body = dict[str, Any]


async def test_work_under_way_goes_on_under_new_crds_and_a_new_operator(lone_world: World) -> None:
    world = lone_world
    world.kubelet.servers_do.outcome = None
    world.operator.start()
    await world.create(Kind.VOICE, "alice", voice_spec())
    await world.create(Kind.CONVERSION, "hello", conversion_spec())
    await world.until_ready(Kind.CONVERSION, "hello", "Unknown", "Converting")
    world.kubelet.script.append(Work())
    await world.create(Kind.VOICE, "bob", voice_spec())
    await world.until_ready(Kind.VOICE, "bob", "Unknown", "Training")
    world.operator.stop()
    try:
        await _define_as_at_first(world)
        await _write_as_at_first(world)
    finally:
        await _define_as_now(world)
    before = await _children(world)

    world.kubelet.servers_do.outcome = ONE_FILE_CONVERTED
    world.operator.start()
    hello = await world.until_ready(Kind.CONVERSION, "hello", "True", "Converted")
    bob = await world.until_ready(Kind.VOICE, "bob", "Unknown", "Training")
    await world.until_ready(Kind.VOICE, "alice", "True", "Available")
    assert await _children(world) == before
    await world.kubelet.end(Exit())
    done = await world.until_ready(Kind.VOICE, "bob", "True", "Available")
    assert done["status"]["training"]["jobName"] == bob["status"]["training"]["jobName"]
    assert (done["status"]["training"]["attempt"], hello["status"]["attempt"]) == (1, 1)
    assert condition(done, "Trained")["reason"] == "Published"
    [server] = world.kubelet.servers().values()
    assert len({path for method, path in server.requests if method == "PUT"}) == 1


def first_release() -> list[Body]:
    """The definitions of then."""
    found = copy.deepcopy(definitions())
    schemas = {name: one["spec"]["versions"][0]["schema"]["openAPIV3Schema"] for name, one in found.items()}
    status = schemas["conversions.yaml"]["properties"]["status"]["properties"]
    status["assignment"] = status["shards"]["items"]["properties"]["assignment"]
    for name, paths in SINCE.items():
        for path in paths:
            *parents, field = path.split(".")
            schema = schemas[name]
            for parent in parents:
                schema = schema["properties"][parent]
            del schema["properties"][field]
    return list(found.values())


async def _define_as_at_first(world: World) -> None:
    world.kubectl("apply", "--validate=false", "-f", "-", stdin=json.dumps(_list(first_release())))
    await world.until("the API is that of the first release", lambda: _served(world, later_fields=False))


async def _define_as_now(world: World) -> None:
    world.kubectl("apply", "--validate=false", "-k", str(FOLDER))
    await world.until("the API is that of this release", lambda: _served(world, later_fields=True))


async def _served(world: World, later_fields: bool) -> bool:
    """Whether the API server keeps what only this release knows, or drops it, of both kinds."""
    voice = voice_spec()
    voice["training"] |= {"gradientCheckpointing": True}
    conversion = conversion_spec(parameters={"formantShiftCents": 100})
    kept = [
        "gradientCheckpointing" in _tried(world, "VoiceModel", voice)["spec"]["training"],
        "formantShiftCents" in _tried(world, "Conversion", conversion)["spec"]["parameters"],
    ]
    return kept == [later_fields, later_fields]


def _tried(world: World, kind: str, spec: Body) -> Body:
    """An object as the API server would store it."""
    metadata = {"name": "tried", "namespace": world.namespace}
    sent = {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}
    command = ("create", "--dry-run=server", "--validate=false", "-f", "-", "-o", "json")
    answer: Body = json.loads(world.kubectl(*command, stdin=json.dumps(sent)))
    return answer


async def _write_as_at_first(world: World) -> None:
    """The statuses as the operator of then would have left them."""
    hello = await world.get(Kind.CONVERSION, "hello")
    assert "shards" not in hello["status"]
    [pod] = [body for body in await world.all(Kind.POD) if "-server-" in body["metadata"]["name"]]
    assignment = {
        "pod": pod["metadata"]["name"],
        "podUID": pod["metadata"]["uid"],
        "podIP": pod["status"]["podIP"],
        "dispatchTime": hello["status"]["startTime"],
    }
    key = Key(Kind.CONVERSION, world.namespace, "hello")
    await world.kube.patch(key, {"status": {"assignment": assignment}}, "status")
    for name in ("alice", "bob"):
        key = Key(Kind.VOICE, world.namespace, name)
        written = await world.kube.patch(key, {"status": {"training": {"epoch": 2}}}, "status")
        assert "activeSince" not in written["status"]["training"]


async def _children(world: World) -> list[tuple[str, str, int | None]]:
    """Name, uid and generation of all that work has been given to."""
    kinds = (Kind.JOB, Kind.DEPLOYMENT, Kind.POD)
    return [
        (body["metadata"]["name"], body["metadata"]["uid"], body["metadata"].get("generation"))
        for kind in kinds
        for body in await world.all(kind)
    ]


def _list(items: list[Body]) -> Body:
    return {"apiVersion": "v1", "kind": "List", "items": items}
