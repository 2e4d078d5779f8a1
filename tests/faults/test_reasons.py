"""Reasons that only come with time, a queue or a missing account; and that every reason is met somewhere."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from rvc.contract import TrainingResult, encode
from rvc_operator.api.names import QUEUE_LABEL
from rvc_operator.api.reasons import Outcome, Reason
from rvc_operator.runtime.cache import Key, Kind
from rvc_operator.runtime.operator import utc_now
from tests.operator.kubelet import Exit, Hold, Work
from tests.operator.manifests import conversion_spec, voice_spec
from tests.operator.world import condition

from .places import Place, Places

TESTS = Path(__file__).parents[1]
NEEDS_A_CLUSTER = re.compile(r"pytest\.mark\.(cluster|node)")


@dataclass
class Clock:
    """The time of day, which can be put forward."""

    ahead: timedelta = timedelta()

    def __call__(self) -> datetime:
        return utc_now() + self.ahead


@pytest.mark.parametrize("kind", [Reason, Outcome])
def test_every_reason_is_met_on_a_real_api_server(kind: type[Reason] | type[Outcome]) -> None:
    texts = (path.read_text() for path in TESTS.rglob("test_*.py"))
    met = {word for text in texts if NEEDS_A_CLUSTER.search(text) for word in re.findall(r'"(\w+)"', text)}
    assert set(kind) - met == set()


@pytest.mark.cluster
async def test_a_deadline_ends_training_and_a_longer_one_goes_on(many: Places) -> None:
    clock = Clock()
    async with many.open(clock) as place:
        place.kubelet.script.append(Work())
        place.operator.start()
        await place.create(Kind.VOICE, "alice", voice_spec())
        await place.until_ready(Kind.VOICE, "alice", "Unknown", "Training")
        clock.ahead += timedelta(days=2)
        await place.until_ready(Kind.VOICE, "alice", "False", "DeadlineExceeded")
        clock.ahead = timedelta()
        await place.edit(Kind.VOICE, "alice", {"training": {"activeDeadlineSeconds": 7 * 86400}})
        await place.until_ready(Kind.VOICE, "alice", "True", "Available")


@pytest.mark.cluster
async def test_a_pod_that_never_starts_is_given_up(many: Places) -> None:
    clock = Clock()
    async with many.open(clock, resync_seconds=1.0) as place:
        place.kubelet.script.append(Hold("Initialized", "ContainersNotInitialized", "soon"))
        place.operator.start()
        await place.create(Kind.VOICE, "alice", voice_spec())
        await place.until_ready(Kind.VOICE, "alice", "Unknown", "Pending")
        clock.ahead += timedelta(hours=2)
        voice = await place.until_ready(Kind.VOICE, "alice", "False", "Pending")
        assert "nothing ran within 3600 s" in condition(voice, "Stalled")["message"]


@pytest.mark.cluster
async def test_a_job_without_a_pod_is_said_and_mended_from_outside(many: Places) -> None:
    clock = Clock()
    async with many.open(clock, resync_seconds=1.0) as place:
        place.operator.start()
        storage = {"uri": "pvc://voices/models/", "serviceAccountName": "nobody"}
        await place.create(Kind.VOICE, "alice", voice_spec(storage=storage))
        await place.until_ready(Kind.VOICE, "alice", "Unknown", "Pending")
        clock.ahead += timedelta(minutes=1)
        await place.until_ready(Kind.VOICE, "alice", "Unknown", "PodNotCreated")
        account = {"apiVersion": "v1", "kind": "ServiceAccount"}
        place.kubectl.apply(account | {"metadata": {"name": "nobody", "namespace": place.namespace}})
        await place.until_ready(Kind.VOICE, "alice", "True", "Available")


@pytest.mark.cluster
async def test_a_queue_may_hold_a_job_back_for_as_long_as_it_likes(many: Places) -> None:
    clock = Clock()
    async with many.open(clock, resync_seconds=1.0) as place:
        place.kubelet.script += [Work(), Work()]
        place.operator.start()
        await place.create(Kind.VOICE, "alice", voice_spec(queueName="gpus"))
        await place.until_ready(Kind.VOICE, "alice", "Unknown", "Training")
        [job] = await place.all(Kind.JOB)
        assert job["metadata"]["labels"][QUEUE_LABEL] == "gpus"
        await _hold(place, job["metadata"]["name"], True)
        await place.until_ready(Kind.VOICE, "alice", "Unknown", "Queued")
        clock.ahead += timedelta(hours=2)
        await place.edit(Kind.VOICE, "alice", {"training": {"backoffLimit": 7}})
        await place.until_ready(Kind.VOICE, "alice", "Unknown", "Queued")
        clock.ahead = timedelta()
        await _hold(place, job["metadata"]["name"], False)
        await place.until_ready(Kind.VOICE, "alice", "Unknown", "Training")


@pytest.mark.cluster
async def test_a_voice_that_does_not_come_is_missed_and_then_found(many: Places) -> None:
    clock = Clock()
    async with many.open(clock, resync_seconds=1.0) as place:
        place.operator.start()
        await place.create(Kind.CONVERSION, "hello", conversion_spec())
        await place.until_ready(Kind.CONVERSION, "hello", "Unknown", "WaitingForVoice")
        clock.ahead += timedelta(minutes=11)
        await place.until_ready(Kind.CONVERSION, "hello", "Unknown", "VoiceNotFound")
        await place.create(Kind.VOICE, "alice", voice_spec())
        await place.until_ready(Kind.CONVERSION, "hello", "True", "Converted")


@pytest.mark.cluster
async def test_a_voice_is_served_when_it_is_trained_and_loaded(many: Places) -> None:
    async with many.open() as place:
        place.kubelet.script.append(Work())
        place.kubelet.servers_do.loading = True
        place.operator.start()
        await place.create(Kind.VOICE, "alice", voice_spec(serving={"minReplicas": 1}))
        voice = await place.until_ready(Kind.VOICE, "alice", "Unknown", "Training")
        assert condition(voice, "Serving")["reason"] == "NotTrained"
        await place.kubelet.end(Exit())

        async def starting() -> bool:
            said = condition(await place.get(Kind.VOICE, "alice"), "Serving")
            return said["reason"] == "Starting"

        await place.until("the server is loading the voice", starting)


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("code", "outcome"), [(12, "PermissionDenied"), (14, "AcceleratorError"), (99, "TrainerFailed")]
)
async def test_how_an_attempt_ended_is_said_and_another_follows(
    many: Places, code: int, outcome: str
) -> None:
    async with many.open() as place:
        place.kubelet.script.append(Exit(code, encode(TrainingResult(message="said by the trainer"))))
        place.operator.start()
        await place.create(Kind.VOICE, "alice", voice_spec())
        voice = await place.until_ready(Kind.VOICE, "alice", "True", "Available")
        failure = voice["status"]["training"]["lastFailure"]
        assert (failure["reason"], failure["exitCode"]) == (outcome, code)
        assert failure["message"] == "said by the trainer"


async def _hold(place: Place, name: str, suspend: bool) -> None:
    """As Kueue does, and what the Job controller says of it; before Kubernetes 1.21 there is no such field,
    and it says nothing by itself."""
    key = Key(Kind.JOB, place.namespace, name)
    job = await place.kube.patch(key, {"spec": {"suspend": suspend}})
    conditions = [one for one in job["status"].get("conditions", []) if one["type"] != "Suspended"]
    reason = "JobSuspended" if suspend else "JobResumed"
    told = {"type": "Suspended", "status": str(suspend), "reason": reason}
    await place.kube.patch(key, {"status": {"conditions": [*conditions, told]}}, "status")
