"""What users do in the lives that are crashed: coroutines that return when a life has come to its end.

A user waits for states, never for the operator; so a scenario goes on in the same way however often the
operator is killed meanwhile.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from rvc_operator.api.names import COMPONENT_LABEL
from rvc_operator.runtime.cache import Kind
from tests.operator.kubelet import Exit, Work
from tests.operator.manifests import conversion_spec, voice_spec
from tests.operator.world import World, condition

Scenario = Callable[[World], Awaitable[None]]
Body = dict[str, Any]
ENDING = (Kind.VOICE, Kind.CONVERSION, Kind.JOB, Kind.DEPLOYMENT, Kind.SERVICE)
"""All that an end state is made of."""


async def train_and_serve(world: World) -> None:
    """A voice whose first attempt fails, and a recording that waits for it."""
    world.kubelet.script += [Exit(13, "the store is away"), Exit()]
    await world.create(Kind.VOICE, "alice", voice_spec())
    await world.create(Kind.CONVERSION, "hello", conversion_spec())
    await world.until_ready(Kind.CONVERSION, "hello", "True", "Converted")
    await _idle(world)


async def retrain(world: World) -> None:
    """A voice that serves while another revision of it is learnt, and then rolls over."""
    await world.create(Kind.VOICE, "alice", voice_spec())
    await world.create(Kind.CONVERSION, "old", conversion_spec())
    await world.until_ready(Kind.CONVERSION, "old", "True", "Converted")
    await world.edit(Kind.VOICE, "alice", {"dataset": {"revision": "more-recordings"}})

    async def rolled_over() -> bool:
        revision = (await world.get(Kind.VOICE, "alice"))["status"]["revision"]
        return revision["serving"] == revision["desired"]

    await world.until_ready(Kind.VOICE, "alice", "True", "Available")
    await world.until("the new revision serves", rolled_over)
    await world.create(Kind.CONVERSION, "new", conversion_spec())
    await world.until_ready(Kind.CONVERSION, "new", "True", "Converted")
    await _idle(world)


async def batch(world: World) -> None:
    """Recordings by the folder, on two servers."""
    serving = {"maxReplicas": 2, "conversionsPerReplica": 1}
    await world.create(Kind.VOICE, "alice", voice_spec(serving=serving))
    for name in ("first", "second", "third"):
        spec = conversion_spec(input={"prefix": f"pvc://voices/{name}/"})
        await world.create(Kind.CONVERSION, name, spec)
    for name in ("first", "second", "third"):
        await world.until_ready(Kind.CONVERSION, name, "True", "Converted")
    await _idle(world)


async def bring_a_voice(world: World) -> None:
    """A voice that was learnt elsewhere."""
    spec = voice_spec() | {"import": {"modelUri": "pvc://voices/theirs.pth"}}
    del spec["dataset"], spec["training"]
    await world.create(Kind.VOICE, "alice", spec)
    await world.create(Kind.CONVERSION, "hello", conversion_spec())
    await world.until_ready(Kind.CONVERSION, "hello", "True", "Converted")
    await _idle(world)


async def delete_and_begin_again(world: World) -> None:
    """A voice that goes while it is at work, with all that it has, and another one of its name."""
    world.kubelet.servers_do.outcome = None
    await world.create(Kind.VOICE, "alice", voice_spec())
    await world.create(Kind.CONVERSION, "hello", conversion_spec())
    await world.until_ready(Kind.CONVERSION, "hello", "Unknown", "Converting")
    first = (await world.get(Kind.VOICE, "alice"))["metadata"]["uid"]
    await world.delete(Kind.VOICE, "alice")
    await world.delete(Kind.CONVERSION, "hello")

    await world.until("nothing is left", lambda: _nothing_is_left(world))
    await world.create(Kind.VOICE, "alice", voice_spec(serving={"minReplicas": 1}))
    voice = await world.until_ready(Kind.VOICE, "alice", "True", "Available")
    assert voice["metadata"]["uid"] != first
    await _idle(world)


async def delete_with_clean_up(world: World) -> None:
    """A voice that goes with its files while it is learnt anew and serves."""
    spec = voice_spec(serving={"minReplicas": 1}, deletionPolicy="Delete")
    await world.create(Kind.VOICE, "alice", spec)
    await world.until_ready(Kind.VOICE, "alice", "True", "Available")
    world.kubelet.script.append(Work())
    await world.edit(Kind.VOICE, "alice", {"dataset": {"revision": "more-recordings"}})

    async def learns_anew() -> bool:
        return condition(await world.get(Kind.VOICE, "alice"), "Trained").get("reason") == "Training"

    await world.until("the voice is learnt anew", learns_anew)
    await world.delete(Kind.VOICE, "alice")

    async def gone() -> bool:
        return await world.all(Kind.VOICE) == []

    await world.until("the voice has gone", gone)
    assert world.kubelet.cleaned, "the voice has gone, its files have not"
    [clean_up] = [one["metadata"] for one in await world.all(Kind.JOB) if _component(one) == "clean-up"]
    # Its time to live ends it; this API server may be too old to know that.
    await world.delete(Kind.JOB, clean_up["name"])
    await world.until("nothing is left", lambda: _nothing_is_left(world))


async def _nothing_is_left(world: World) -> bool:
    kinds = (Kind.VOICE, Kind.CONVERSION, Kind.JOB, Kind.DEPLOYMENT, Kind.SERVICE, Kind.POD)
    return [body for kind in kinds for body in await world.all(kind)] == []


def _component(body: Body) -> str:
    return str(body["metadata"]["labels"][COMPONENT_LABEL])


ALL: dict[str, Scenario] = {
    "train-and-serve": train_and_serve,
    "retrain": retrain,
    "batch": batch,
    "import": bring_a_voice,
    "delete": delete_and_begin_again,
    "delete-with-clean-up": delete_with_clean_up,
}


async def end_state(world: World) -> Body:
    """All that is there, without what differs between two undisturbed lives: times, uids, names of pods."""
    found: Body = {}
    for kind in ENDING:
        for body in await world.all(kind):
            found[f"{kind.kind} {body['metadata']['name']}"] = _child(body) if kind.child else _said(body)
    return found


def _said(body: Body) -> Body:
    status = body.get("status", {})
    said = {
        "conditions": [(one["type"], one["status"], one["reason"]) for one in status.get("conditions", [])]
    }
    said |= {
        key: status[key] for key in ("revision", "files", "failedAttempts", "voiceRevision") if key in status
    }
    said |= {key: key in status for key in ("completionTime", "nextRetryTime")}
    said["assigned"] = ["assignment" in shard for shard in status.get("shards", [])]
    training = status.get("training", {})
    said["training"] = {
        key: training.get(key) for key in ("attempt", "failures", "jobName", "stage", "revision")
    }
    said["serving"] = {
        key: status.get("serving", {}).get(key) for key in ("replicas", "readyReplicas", "activeConversions")
    }
    return said


def _child(body: Body) -> Body:
    conditions = body.get("status", {}).get("conditions", [])
    ended = [
        one["type"] for one in conditions if one["type"] in ("Complete", "Failed") and one["status"] == "True"
    ]
    owners = [(one["kind"], one["name"]) for one in body["metadata"].get("ownerReferences", [])]
    return {"ended": ended, "owners": owners, "replicas": body.get("spec", {}).get("replicas")}


async def _idle(world: World) -> None:
    """The voice has seen that all is done."""

    async def holds() -> bool:
        voice = await world.get(Kind.VOICE, "alice")
        serving = voice["status"].get("serving", {})
        told = condition(voice, "Serving").get("reason") == "Serving"
        return (
            told
            and serving.get("activeConversions", 0) == 0
            and serving["replicas"] == serving["readyReplicas"]
        )

    async def nothing_is_going() -> bool:
        bodies = [body for kind in ENDING for body in await world.all(kind)]
        return not any("deletionTimestamp" in body["metadata"] for body in bodies)

    await world.until("the voice serves and is idle", holds)
    # What the operator deletes goes after its dependents, whenever the garbage collector comes to it.
    await world.until("what was deleted has gone", nothing_is_going)
