"""A voice's life on a real API server: recordings to voice to converted files, nothing written in vain."""

import pytest

from rvc_operator.runtime.cache import Kind

from .kubelet import DIGEST, Exit, Work
from .manifests import conversion_spec, voice_spec
from .world import World, condition

pytestmark = pytest.mark.cluster


async def test_two_manifests_make_a_voice_and_a_converted_file(world: World) -> None:
    world.kubelet.script.append(Work())
    await world.create(Kind.VOICE, "alice", voice_spec())
    await world.create(Kind.CONVERSION, "hello", conversion_spec())
    await world.until_ready(Kind.VOICE, "alice", "Unknown", "Training")
    waiting = await world.until_ready(Kind.CONVERSION, "hello", "Unknown", "WaitingForVoice")
    assert "alice" in condition(waiting, "Ready")["message"]

    async def progress_is_shown() -> bool:
        training = (await world.get(Kind.VOICE, "alice"))["status"]["training"]
        return (training["stage"], training["progressPercentage"], training["epoch"]) == ("Training", 10, 1)

    await world.until("the trainer's progress is in the status", progress_is_shown)
    await world.kubelet.end(Exit())

    voice = await world.until_ready(Kind.VOICE, "alice", "True", "Available")
    revision = voice["status"]["revision"]["desired"]
    assert voice["status"]["revision"]["serving"] == revision
    assert voice["status"]["artifact"] == {
        "uri": f"pvc://voices/models/{world.namespace}/alice/{revision}/",
        "manifestDigest": DIGEST,
        "sizeBytes": 12345,
    }
    assert voice["status"]["training"]["metrics"] == [{"name": "similarity", "value": "0.91"}]
    assert condition(voice, "Trained")["status"] == "True"
    assert not condition(voice, "Reconciling")

    conversion = await world.until_ready(Kind.CONVERSION, "hello", "True", "Converted")
    status = conversion["status"]
    assert status["files"] == {"total": 1, "succeeded": 1, "failed": 0, "skipped": 0}
    assert (status["voiceRevision"], status["resultsUri"]) == (revision, "pvc://voices/results.json")
    assert [shard.get("assignment") for shard in status["shards"]] == [None]
    assert await world.names(Kind.JOB) == [f"alice-train-{revision}-1"]
    assert world.events().count("Training") == 1
    assert {"Available", "Converted", "Serving"} <= set(world.events())


async def test_servers_go_when_idle_and_come_back_when_needed(world: World) -> None:
    await world.create(Kind.VOICE, "alice", voice_spec(serving={"idleTimeoutSeconds": 1}))
    await world.create(Kind.CONVERSION, "first", conversion_spec())
    await world.until_ready(Kind.CONVERSION, "first", "True", "Converted")

    async def nothing_runs() -> bool:
        voice = await world.get(Kind.VOICE, "alice")
        return condition(voice, "Serving")["reason"] == "ScaledToZero" and not world.kubelet.servers()

    await world.until("the servers have gone", nothing_runs)
    assert condition(await world.get(Kind.VOICE, "alice"), "Ready")["status"] == "True"
    await world.create(Kind.CONVERSION, "second", conversion_spec())
    await world.until_ready(Kind.CONVERSION, "second", "True", "Converted")


async def test_a_conversion_waits_for_a_voice_that_comes_later(world: World) -> None:
    await world.create(Kind.CONVERSION, "hello", conversion_spec())
    waiting = await world.until_ready(Kind.CONVERSION, "hello", "Unknown", "WaitingForVoice")
    assert condition(waiting, "Reconciling")["status"] == "True"
    await world.create(Kind.VOICE, "alice", voice_spec())
    await world.until_ready(Kind.CONVERSION, "hello", "True", "Converted")


async def test_a_changed_dataset_trains_anew_while_the_old_voice_serves(world: World) -> None:
    await world.create(Kind.VOICE, "alice", voice_spec())
    old = (await world.until_ready(Kind.VOICE, "alice", "True", "Available"))["status"]["revision"]["serving"]
    world.kubelet.script.append(Work())
    await world.edit(Kind.VOICE, "alice", {"dataset": {"revision": "more-recordings"}})

    async def trains_beside() -> bool:
        voice = await world.get(Kind.VOICE, "alice")
        training = condition(voice, "Trained").get("reason") == "Training"
        return training and condition(voice, "Ready")["status"] == "True"

    await world.until("the voice is usable while its next revision is trained", trains_beside)
    await world.create(Kind.CONVERSION, "old", conversion_spec())
    first = await world.until_ready(Kind.CONVERSION, "old", "True", "Converted")
    assert first["status"]["voiceRevision"] == old
    await world.kubelet.end(Exit())

    async def rolled_over() -> bool:
        revision = (await world.get(Kind.VOICE, "alice"))["status"]["revision"]
        return revision["serving"] == revision["desired"] != old

    await world.until("the new revision serves", rolled_over)
    await world.create(Kind.CONVERSION, "new", conversion_spec())
    second = await world.until_ready(Kind.CONVERSION, "new", "True", "Converted")
    assert second["status"]["voiceRevision"] != old


async def test_suspending_stops_training_and_resuming_goes_on(world: World) -> None:
    world.kubelet.script.append(Work())
    await world.create(Kind.VOICE, "alice", voice_spec())
    await world.until_ready(Kind.VOICE, "alice", "Unknown", "Training")
    await world.edit(Kind.VOICE, "alice", {"suspend": True})
    await world.until_ready(Kind.VOICE, "alice", "False", "Suspended")

    async def no_jobs() -> bool:
        return await world.all(Kind.JOB) == []

    await world.until("the Job has gone", no_jobs)
    await world.edit(Kind.VOICE, "alice", {"suspend": False})
    voice = await world.until_ready(Kind.VOICE, "alice", "True", "Available")
    assert (voice["status"]["training"]["attempt"], voice["status"]["training"]["failures"]) == (2, 0)


async def test_deleting_a_voice_leaves_nothing(world: World) -> None:
    await world.create(Kind.VOICE, "alice", voice_spec(serving={"minReplicas": 1}))

    async def serves() -> bool:
        return len(world.kubelet.servers()) == 1

    await world.until("a server runs", serves)
    await world.delete(Kind.VOICE, "alice")

    async def nothing_left() -> bool:
        kinds = (Kind.VOICE, Kind.JOB, Kind.DEPLOYMENT, Kind.SERVICE, Kind.POD)
        return [body for kind in kinds for body in await world.all(kind)] == []

    await world.until("nothing is left", nothing_left)


async def test_a_finished_conversion_goes_after_its_time_to_live(world: World) -> None:
    await world.create(Kind.VOICE, "alice", voice_spec())
    await world.create(Kind.CONVERSION, "hello", conversion_spec(ttlSecondsAfterFinished=0))

    async def gone() -> bool:
        return "Converted" in world.events() and await world.names(Kind.CONVERSION) == []

    await world.until("the Conversion has deleted itself", gone)
