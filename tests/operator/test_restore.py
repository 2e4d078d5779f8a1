"""Back-up, restore and removal as docs/operations.md describes them, on a real API server."""

import re
from pathlib import Path
from typing import Any

import pytest

from rvc_operator.runtime.cache import Kind

from .manifests import conversion_spec, voice_spec
from .world import World

pytestmark = pytest.mark.cluster
GUIDE = Path(__file__).parents[2] / "docs/operations.md"


async def test_a_voice_comes_back_from_its_spec_alone(world: World) -> None:
    await world.create(Kind.VOICE, "alice", voice_spec())
    before = await world.until_ready(Kind.VOICE, "alice", "True", "Available")
    backup = _without_what_the_guide_removes(before)
    assert set(backup) == {"apiVersion", "kind", "metadata", "spec"}
    await world.delete(Kind.VOICE, "alice")
    await world.until("the voice and its children are gone", _nothing_left(world))
    world.kubectl.apply(backup)
    after = await world.until_ready(Kind.VOICE, "alice", "True", "Available")
    assert after["status"]["artifact"] == before["status"]["artifact"]
    assert after["status"]["training"]["attempt"] == 1


async def test_nothing_holds_removal_back(world: World) -> None:
    await world.create(Kind.VOICE, "alice", voice_spec())
    await world.create(Kind.CONVERSION, "hello", conversion_spec())
    await world.until_ready(Kind.CONVERSION, "hello", "True", "Converted")
    [command] = re.findall(r"kubectl (delete conversions,voices --all) --all-namespaces", GUIDE.read_text())
    world.kubectl(*command.split(), f"--namespace={world.namespace}")
    await world.until("all is gone", _nothing_left(world))


def _without_what_the_guide_removes(body: dict[str, Any]) -> dict[str, Any]:
    [filter] = re.findall(r"jq 'del\(([^)]*)\)'", GUIDE.read_text())
    removed = re.findall(r'"(\w+)"', filter)
    assert ".items[].status" in filter
    metadata = {key: value for key, value in body["metadata"].items() if key not in removed}
    return {key: value for key, value in body.items() if key != "status"} | {"metadata": metadata}


def _nothing_left(world: World):  # type: ignore[no-untyped-def]
    async def holds() -> bool:
        kinds = (Kind.VOICE, Kind.CONVERSION, Kind.JOB, Kind.DEPLOYMENT, Kind.SERVICE)
        return [name for kind in kinds for name in await world.names(kind)] == []

    return holds
