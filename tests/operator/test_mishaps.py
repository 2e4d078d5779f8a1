"""What goes wrong on a real API server, and that it comes right, or is said in a word."""

from collections.abc import Callable

import pytest

from rvc.contract import (
    ConversionState,
    ConversionStatus,
    FileCounts,
    FileFailure,
    TrainingResult,
    encode,
)
from rvc_operator.runtime.cache import Kind

from .kubelet import Act, Exit, Hold, Refuse, Work
from .manifests import conversion_spec, voice_spec
from .stand_ins import ONE_FILE_CONVERTED
from .world import World, condition

pytestmark = pytest.mark.cluster


async def test_a_job_deleted_by_hand_is_replaced_and_costs_no_attempt(world: World) -> None:
    world.kubelet.script.append(Work())
    await world.create(Kind.VOICE, "alice", voice_spec())
    await world.until_ready(Kind.VOICE, "alice", "Unknown", "Training")
    [job] = await world.names(Kind.JOB)
    await world.delete(Kind.JOB, job)
    voice = await world.until_ready(Kind.VOICE, "alice", "True", "Available")
    training = voice["status"]["training"]
    assert (training["attempt"], training["failures"]) == (2, 0)
    assert training["lastFailure"]["reason"] == "JobDeleted"
    assert training["jobName"] != job


async def test_a_retriable_failure_is_retried_and_then_forgiven(world: World) -> None:
    world.kubelet.script.append(Exit(13, encode(TrainingResult(message="the store is away"))))
    await world.create(Kind.VOICE, "alice", voice_spec())
    voice = await world.until_ready(Kind.VOICE, "alice", "True", "Available")
    training = voice["status"]["training"]
    assert (training["attempt"], training["failures"]) == (2, 1)
    failure = training["lastFailure"]
    assert (failure["reason"], failure["exitCode"]) == ("StoreUnavailable", 13)
    assert failure["message"] == "the store is away"
    assert "TrainingRetrying" in world.events()


async def test_invalid_recordings_end_it_until_the_spec_changes(world: World) -> None:
    advice = "no speech in pvc://voices/recordings/: add at least one minute"
    world.kubelet.script.append(Exit(10, encode(TrainingResult(reason="DatasetInvalid", message=advice))))
    await world.create(Kind.VOICE, "alice", voice_spec())
    voice = await world.until_ready(Kind.VOICE, "alice", "False", "DatasetInvalid")
    assert condition(voice, "Ready")["message"] == advice
    assert condition(voice, "Stalled")["status"] == "True"
    await world.edit(Kind.VOICE, "alice", {"dataset": {"revision": "repaired"}})
    await world.until_ready(Kind.VOICE, "alice", "True", "Available")


async def test_out_of_memory_is_tried_once_more_in_parts(world: World) -> None:
    world.kubelet.script += [Exit(137, reason="OOMKilled"), Exit(137, reason="OOMKilled")]
    await world.create(Kind.VOICE, "alice", voice_spec())
    voice = await world.until_ready(Kind.VOICE, "alice", "False", "OutOfMemory")
    training = voice["status"]["training"]
    assert (training["attempt"], training["batchParts"]) == (2, 4)


async def test_failures_beyond_the_limit_end_it(world: World) -> None:
    world.kubelet.script += [Exit(1), Exit(1)]
    spec = voice_spec()
    spec["training"]["backoffLimit"] = 1
    await world.create(Kind.VOICE, "alice", spec)
    voice = await world.until_ready(Kind.VOICE, "alice", "False", "TrainingFailed")
    assert "exit code 1" in condition(voice, "Ready")["message"]
    await world.edit(Kind.VOICE, "alice", {"training": {"backoffLimit": 2}})
    await world.until_ready(Kind.VOICE, "alice", "True", "Available")


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (Hold("PodScheduled", "Unschedulable", "0/3 nodes: insufficient cpu"), "Unschedulable"),
        (
            Hold("ContainerInstanceCreated", "FeatureGetNoPermission", "no whitelist"),
            "AcceleratorNotPermitted",
        ),
        (Hold("ContainerInstanceCreated", "FailedScheduling", "sold out"), "AcceleratorOutOfStock"),
        (Refuse("ImagePullBackOff", "registry says no"), "ImagePullFailed"),
        (Refuse("CreateContainerConfigError", 'secret "oss" not found'), "CredentialsMissing"),
        (Refuse("CreateContainerError", "no such command"), "ContainerCannotStart"),
    ],
)
async def test_why_a_pod_does_not_start_is_said_in_a_word(world: World, act: Act, reason: str) -> None:
    world.kubelet.script.append(act)
    await world.create(Kind.VOICE, "alice", voice_spec())
    voice = await world.until_ready(Kind.VOICE, "alice", "Unknown", reason)
    assert act.message in condition(voice, "Ready")["message"]


async def test_an_invalid_spec_is_answered_with_what_is_allowed(world: World) -> None:
    await world.create(Kind.VOICE, "alice", voice_spec(accelerator={"model": "Abacus"}))
    voice = await world.until_ready(Kind.VOICE, "alice", "False", "InvalidSpec")
    assert "CPU, GU8TEF, GU8TF, L20, P16EN" in condition(voice, "Ready")["message"]
    assert await world.all(Kind.JOB) == []
    await world.edit(Kind.VOICE, "alice", {"accelerator": {"model": "CPU"}})
    await world.until_ready(Kind.VOICE, "alice", "True", "Available")


async def test_a_published_voice_converts_and_rests_while_its_spec_is_wrong(world: World) -> None:
    await world.create(Kind.VOICE, "alice", voice_spec(serving={"idleTimeoutSeconds": 1}))
    await world.until_ready(Kind.VOICE, "alice", "True", "Available")
    await world.edit(Kind.VOICE, "alice", {"accelerator": {"model": "Abacus"}})
    voice = await world.until_ready(Kind.VOICE, "alice", "True", "Available")
    assert condition(voice, "Stalled")["reason"] == "InvalidSpec"
    await world.create(Kind.CONVERSION, "hello", conversion_spec())
    await world.until_ready(Kind.CONVERSION, "hello", "True", "Converted")

    async def nothing_runs() -> bool:
        return not world.kubelet.servers()

    await world.until("the servers have gone", nothing_runs)


async def test_what_the_api_server_refuses_is_said(world: World) -> None:
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}
    await world.create(Kind.VOICE, "alice", voice_spec(podTemplate={"affinity": affinity}))
    voice = await world.until_ready(Kind.VOICE, "alice", "False", "Rejected")
    assert "nodeSelectorTerms" in condition(voice, "Ready")["message"]


async def test_an_object_of_somebody_else_is_left_alone(world: World) -> None:
    ports = [{"port": 80, "protocol": "TCP"}]
    await world.create(Kind.SERVICE, "alice-server", {"ports": ports})
    await world.create(Kind.VOICE, "alice", voice_spec())
    voice = await world.until_ready(Kind.VOICE, "alice", "False", "Rejected")
    assert "another Service alice-server" in condition(voice, "Ready")["message"]
    assert "artifact" in voice["status"], "what was trained is not forgotten"
    theirs = await world.get(Kind.SERVICE, "alice-server")
    assert "ownerReferences" not in theirs["metadata"]
    await world.delete(Kind.SERVICE, "alice-server")
    await world.until_ready(Kind.VOICE, "alice", "True", "Available")


async def test_a_voice_that_servers_cannot_load_is_named(world: World) -> None:
    world.kubelet.servers_do.corrupt = True
    await world.create(Kind.VOICE, "alice", voice_spec())
    await world.create(Kind.CONVERSION, "hello", conversion_spec())

    async def said() -> bool:
        serving = condition(await world.get(Kind.VOICE, "alice"), "Serving")
        return serving.get("reason") == "ServerFailing" and "index.faiss" in serving["message"]

    await world.until("Serving says what is wrong", said)
    conversion = await world.until_ready(Kind.CONVERSION, "hello", "Unknown", "WaitingForInference")
    assert condition(conversion, "Stalled") == {}


async def test_a_server_deleted_in_the_middle_is_replaced(world: World) -> None:
    world.kubelet.servers_do.outcome = None
    await world.create(Kind.VOICE, "alice", voice_spec())
    await world.create(Kind.CONVERSION, "hello", conversion_spec())
    await world.until("a server has the conversion", _has_work(world))
    [lost] = world.kubelet.servers()
    await world.delete(Kind.POD, lost)

    async def replaced() -> bool:
        return bool(world.kubelet.servers()) and lost not in world.kubelet.servers()

    await world.until("another server runs", replaced)
    world.kubelet.servers_do.outcome = ONE_FILE_CONVERTED
    conversion = await world.until_ready(Kind.CONVERSION, "hello", "True", "Converted")
    assert (conversion["status"]["attempt"], conversion["status"]["failedAttempts"]) == (1, 0)


async def test_a_server_that_forgot_is_told_again(world: World) -> None:
    world.kubelet.servers_do.outcome = None
    await world.create(Kind.VOICE, "alice", voice_spec())
    await world.create(Kind.CONVERSION, "hello", conversion_spec())
    await world.until("a server has the conversion", _has_work(world))
    [server] = world.kubelet.servers().values()
    server.known.clear()
    world.kubelet.servers_do.outcome = ONE_FILE_CONVERTED
    await world.until_ready(Kind.CONVERSION, "hello", "True", "Converted")


async def test_a_server_that_could_not_go_on_is_asked_again(world: World) -> None:
    failure = ConversionStatus(
        ConversionState.FAILED, reason="StoreUnavailable", message="the store is away", retriable=True
    )
    world.kubelet.servers_do.outcome = failure
    await world.create(Kind.VOICE, "alice", voice_spec())
    await world.create(Kind.CONVERSION, "hello", conversion_spec(backoffLimit=20))
    await world.until_ready(Kind.CONVERSION, "hello", "Unknown", "ConversionRetrying")
    [server] = world.kubelet.servers().values()
    world.kubelet.servers_do.outcome = ONE_FILE_CONVERTED
    conversion = await world.until_ready(Kind.CONVERSION, "hello", "True", "Converted")
    assert conversion["status"]["failedAttempts"] >= 1
    assert conversion["status"]["lastFailure"]["reason"] == "StoreUnavailable"
    methods = [method for method, _ in server.requests if method in ("PUT", "DELETE")]
    assert methods[:3] == ["PUT", "DELETE", "PUT"]


@pytest.mark.parametrize(
    ("outcome", "policy", "answer"),
    [
        (FileCounts(total=3, succeeded=2, failed=1), "All", ("False", "PartiallyFailed")),
        (FileCounts(total=3, succeeded=2, failed=1), "Any", ("True", "Converted")),
        (FileCounts(total=3, failed=3), "Any", ("False", "ConversionFailed")),
        (FileCounts(total=3, skipped=3), "All", ("True", "Converted")),
        (FileCounts(), "All", ("False", "InputInvalid")),
    ],
)
async def test_files_that_fail_are_counted_and_named(
    world: World, outcome: FileCounts, policy: str, answer: tuple[str, str]
) -> None:
    failures = (FileFailure("b.wav", "AudioSilent", "b.wav is silent"),) * min(outcome.failed, 1)
    status = ConversionStatus(ConversionState.FINISHED, files=outcome, failures=failures)
    world.kubelet.servers_do.outcome = status
    await world.create(Kind.VOICE, "alice", voice_spec())
    spec = conversion_spec(input={"prefix": "pvc://voices/inbox/"}, successPolicy=policy)
    await world.create(Kind.CONVERSION, "batch", spec)
    conversion = await world.until_ready(Kind.CONVERSION, "batch", *answer)
    assert conversion["status"]["files"]["failed"] == outcome.failed
    assert [one["key"] for one in conversion["status"]["failures"]] == [one.key for one in failures]
    assert (condition(conversion, "Stalled") != {}) == (answer[0] == "False")


async def test_a_request_that_the_server_refuses_for_good_fails(world: World) -> None:
    world.kubelet.servers_do.refusal = 422
    await world.create(Kind.VOICE, "alice", voice_spec())
    await world.create(Kind.CONVERSION, "hello", conversion_spec())
    conversion = await world.until_ready(Kind.CONVERSION, "hello", "False", "ConversionFailed")
    assert "the stand-in refuses" in condition(conversion, "Ready")["message"]


async def test_files_on_a_claim_that_servers_do_not_mount_are_said_to_be_unreachable(world: World) -> None:
    await world.create(Kind.VOICE, "alice", voice_spec())
    await world.create(
        Kind.CONVERSION, "hello", conversion_spec(input={"object": "pvc://elsewhere/hello.wav"})
    )
    conversion = await world.until_ready(Kind.CONVERSION, "hello", "False", "InputInvalid")
    assert "elsewhere" in condition(conversion, "Ready")["message"]


async def test_a_deleted_conversion_is_stopped_on_its_server(world: World) -> None:
    await _start_working(world)
    await world.delete(Kind.CONVERSION, "hello")
    [server] = world.kubelet.servers().values()

    async def forgotten() -> bool:
        return not server.known

    await world.until("the server has forgotten the conversion", forgotten)


async def test_a_suspended_conversion_stops_and_goes_on_later(world: World) -> None:
    await _start_working(world)
    await world.edit(Kind.CONVERSION, "hello", {"suspend": True})
    await world.until_ready(Kind.CONVERSION, "hello", "False", "Suspended")
    [server] = world.kubelet.servers().values()
    assert server.known == {}
    world.kubelet.servers_do.outcome = ONE_FILE_CONVERTED
    await world.edit(Kind.CONVERSION, "hello", {"suspend": False})
    await world.until_ready(Kind.CONVERSION, "hello", "True", "Converted")


async def _start_working(world: World) -> None:
    world.kubelet.servers_do.outcome = None
    await world.create(Kind.VOICE, "alice", voice_spec())
    await world.create(Kind.CONVERSION, "hello", conversion_spec())
    await world.until("a server has the conversion", _has_work(world))


def _has_work(world: World) -> Callable[[], object]:
    async def holds() -> bool:
        return any(server.known for server in world.kubelet.servers().values())

    return holds
