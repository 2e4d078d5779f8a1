"""The operator goes at any stage of its work, comes again, and ends where it would have ended."""

from collections.abc import Awaitable, Callable

import pytest

from rvc_operator.runtime.cache import Kind

from .kubelet import Exit, Work
from .manifests import conversion_spec, voice_spec
from .stand_ins import ONE_FILE_CONVERTED
from .world import World, condition

pytestmark = pytest.mark.cluster

MARKER = "marker"


async def _a_job_exists(world: World) -> bool:
    return bool(await world.all(Kind.JOB))


async def _training_is_seen(world: World) -> bool:
    return condition(await world.get(Kind.VOICE, "alice"), "Ready").get("reason") == "Training"


async def _a_failure_is_written_down(world: World) -> bool:
    status = (await world.get(Kind.VOICE, "alice")).get("status", {})
    return status.get("training", {}).get("failures") == 1


async def _a_deployment_exists(world: World) -> bool:
    return bool(await world.all(Kind.DEPLOYMENT))


async def _an_assignment_is_written_down(world: World) -> bool:
    shards = (await world.get(Kind.CONVERSION, "hello")).get("status", {}).get("shards", [])
    return any("assignment" in shard for shard in shards)


async def _a_server_has_work(world: World) -> bool:
    return any(server.known for server in world.kubelet.servers().values())


@pytest.mark.parametrize(
    "moment",
    [
        _a_job_exists,
        _training_is_seen,
        _a_failure_is_written_down,
        _a_deployment_exists,
        _an_assignment_is_written_down,
        _a_server_has_work,
    ],
)
async def test_killed_at_any_moment_it_ends_in_the_same_place(
    lone_world: World, moment: Callable[[World], Awaitable[bool]]
) -> None:
    world = lone_world
    world.kubelet.script += [Work(), Exit()]
    world.kubelet.servers_do.outcome = None
    world.operator.start()
    await world.create(Kind.VOICE, "alice", voice_spec())
    await world.create(Kind.CONVERSION, "hello", conversion_spec())
    if moment not in (_a_job_exists, _training_is_seen):
        await world.until("training is seen", lambda: _training_is_seen(world))
        await world.kubelet.end(Exit(13, "the store is away"))
    await world.until(moment.__name__, lambda: moment(world))
    world.operator.kill()
    # The world goes on while nobody watches it.
    if moment is _training_is_seen:
        await world.kubelet.end(Exit(13, "the store is away"))
    world.kubelet.servers_do.outcome = ONE_FILE_CONVERTED
    world.operator.start()
    if moment is _a_job_exists:
        await world.until("training is seen", lambda: _training_is_seen(world))
        await world.kubelet.end(Exit(13, "the store is away"))

    conversion = await world.until_ready(Kind.CONVERSION, "hello", "True", "Converted")
    voice = await world.until_ready(Kind.VOICE, "alice", "True", "Available")
    training, revision = voice["status"]["training"], voice["status"]["revision"]["desired"]
    assert (training["attempt"], training["failures"]) == (2, 1)
    assert conversion["status"]["failedAttempts"] == 0
    assert await world.names(Kind.JOB) == [f"alice-train-{revision}-{attempt}" for attempt in (1, 2)]
    assert await world.names(Kind.DEPLOYMENT) == ["alice-server"]


async def test_children_that_vanish_while_the_operator_is_away_are_made_again(lone_world: World) -> None:
    world = lone_world
    world.operator.start()
    await world.create(Kind.VOICE, "alice", voice_spec(serving={"minReplicas": 1}))
    await world.until_ready(Kind.VOICE, "alice", "True", "Available")
    await world.until("it is served", lambda: _a_deployment_exists(world))
    world.operator.kill()
    await world.delete(Kind.DEPLOYMENT, "alice-server")
    await world.delete(Kind.SERVICE, "alice-server")

    async def gone() -> bool:
        return await world.all(Kind.DEPLOYMENT) == [] and "alice-server" not in await world.names(
            Kind.SERVICE
        )

    await world.until("the children have gone", gone)
    world.operator.start()
    await world.create(Kind.CONVERSION, "hello", conversion_spec())
    await world.until_ready(Kind.CONVERSION, "hello", "True", "Converted")
    assert "alice-server" in await world.names(Kind.SERVICE)


async def test_nothing_is_written_when_nothing_changed(lone_world: World) -> None:
    world = lone_world
    world.operator.start(RVC_WORKERS="1")
    await world.create(Kind.VOICE, "alice", voice_spec())
    await world.create(Kind.CONVERSION, "hello", conversion_spec())
    await world.until_ready(Kind.CONVERSION, "hello", "True", "Converted")
    await world.until_ready(Kind.VOICE, "alice", "True", "Available")
    await _settled(world, "before")
    versions, events = await world.versions(), world.events()

    # The same YAML again, then a restart. With one worker, the marker is answered after everything else.
    for name, kind, spec in (
        ("alice", Kind.VOICE, voice_spec()),
        ("hello", Kind.CONVERSION, conversion_spec()),
    ):
        await world.edit(kind, name, spec)
    await _settled(world, "reapplied")
    world.operator.stop()
    world.operator.start(RVC_WORKERS="1")
    await _settled(world, "restarted")

    after = await world.versions()
    assert {key: after[key] for key in versions} == versions
    assert [key.name for key in after.keys() - versions.keys()] != []
    assert all(key.name.startswith(MARKER) for key in after.keys() - versions.keys())
    assert [event for event in world.events() if event != "WaitingForVoice"] == [
        event for event in events if event != "WaitingForVoice"
    ]


async def _settled(world: World, name: str) -> None:
    """Until the operator has looked at everything that was there before the call."""
    await world.create(Kind.CONVERSION, f"{MARKER}-{name}", conversion_spec("nobody"))
    await world.until_ready(Kind.CONVERSION, f"{MARKER}-{name}", "Unknown", "WaitingForVoice")


async def test_a_suspension_that_a_server_did_not_hear_of_is_repeated_by_the_next_operator(
    lone_world: World,
) -> None:
    world = lone_world
    world.kubelet.servers_do.outcome = None
    world.operator.start()
    await world.create(Kind.VOICE, "alice", voice_spec())
    await world.create(Kind.CONVERSION, "hello", conversion_spec())

    async def at_work() -> bool:
        return any(server.known for server in world.kubelet.servers().values())

    await world.until("a server has the conversion", at_work)
    world.kubelet.servers_do.deaf = True
    await world.edit(Kind.CONVERSION, "hello", {"suspend": True})
    await world.until_ready(Kind.CONVERSION, "hello", "False", "Suspended")
    [server] = world.kubelet.servers().values()
    assert server.known
    world.operator.kill()
    world.kubelet.servers_do.deaf = False
    world.operator.start()

    async def nobody_is_at_work() -> bool:
        return not await _an_assignment_is_written_down(world)

    await world.until("nobody is at work", nobody_is_at_work)
    assert server.known == {}
    world.kubelet.servers_do.outcome = ONE_FILE_CONVERTED
    await world.edit(Kind.CONVERSION, "hello", {"suspend": False})
    await world.until_ready(Kind.CONVERSION, "hello", "True", "Converted")
