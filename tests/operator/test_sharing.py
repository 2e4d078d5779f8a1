"""A Conversion that several servers share, on a real API server."""

import pytest

from rvc.contract import ConversionState, ConversionStatus, FileCounts
from rvc_operator.runtime.cache import Kind

from .manifests import conversion_spec, voice_spec
from .world import World, condition

pytestmark = pytest.mark.cluster

ONE_OF_THREE_SHARDS = ConversionStatus(
    ConversionState.FINISHED,
    files=FileCounts(total=7, succeeded=2),
    results_uri="pvc://voices/results.json",
)


async def _pods(world: World) -> list[str | None]:
    """Pods of the shards of the Conversion `batch`, None for those without."""
    shards = (await world.get(Kind.CONVERSION, "batch")).get("status", {}).get("shards", [])
    return [shard.get("assignment", {}).get("pod") for shard in shards]


async def _begin(world: World) -> list[str | None]:
    """Until three servers have a shard each."""
    world.kubelet.servers_do.outcome = None
    await world.create(Kind.VOICE, "alice", voice_spec(serving={"maxReplicas": 3}))
    spec = conversion_spec(input={"prefix": "pvc://voices/inbox/"}, parallelism=3)
    await world.create(Kind.CONVERSION, "batch", spec)

    async def shared() -> bool:
        there = len(set(await _pods(world)) - {None}) == 3
        return there and sum(len(server.known) for server in world.kubelet.servers().values()) == 3

    await world.until("three servers share it", shared)
    return await _pods(world)


async def test_servers_come_for_every_shard_and_one_that_goes_is_replaced(world: World) -> None:
    first = await _begin(world)
    voice = await world.get(Kind.VOICE, "alice")
    serving = voice["status"]["serving"]
    assert (serving["replicas"], serving["activeConversions"]) == (3, 1)
    lost = first[1] or ""
    await world.delete(Kind.POD, lost)

    async def replaced() -> bool:
        now = await _pods(world)
        return None not in now and lost not in now and (now[0], now[2]) == (first[0], first[2])

    await world.until("its shard has another server, the others go on", replaced)
    world.kubelet.servers_do.outcome = ONE_OF_THREE_SHARDS
    done = (await world.until_ready(Kind.CONVERSION, "batch", "True", "Converted"))["status"]
    assert done["files"] == {"total": 7, "succeeded": 6, "failed": 0, "skipped": 0}
    assert (done["attempt"], done["failedAttempts"]) == (1, 0)
    assert [shard["finished"] for shard in done["shards"]] == [True] * 3
    assert done["resultsUri"] == "pvc://voices/results.json"


@pytest.mark.parametrize("how", ["deleted", "suspended"])
async def test_all_servers_are_stopped(world: World, how: str) -> None:
    await _begin(world)
    if how == "deleted":
        await world.delete(Kind.CONVERSION, "batch")
    else:
        await world.edit(Kind.CONVERSION, "batch", {"suspend": True})
        await world.until_ready(Kind.CONVERSION, "batch", "False", "Suspended")

    async def forgotten() -> bool:
        return not any(server.known for server in world.kubelet.servers().values())

    await world.until("no server knows of it", forgotten)


async def test_the_operator_goes_on_where_another_one_was_killed(lone_world: World) -> None:
    world = lone_world
    world.operator.start()
    before = await _begin(world)
    world.operator.kill()
    world.kubelet.servers_do.outcome = ONE_OF_THREE_SHARDS
    world.operator.start()
    done = await world.until_ready(Kind.CONVERSION, "batch", "True", "Converted")
    assert done["status"]["files"]["succeeded"] == 6
    assert condition(done, "Stalled") == {}
    asked = [server.requests for server in world.kubelet.servers().values()]
    puts = [path for requests in asked for method, path in requests if method == "PUT"]
    assert len(puts) == len(before) == 3, "nothing was given out twice"
