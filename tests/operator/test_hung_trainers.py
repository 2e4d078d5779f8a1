"""Trainers that run without getting on: when they are replaced, and what is never held against them."""

import dataclasses
from typing import Any

import pytest

from rvc.contract import Metric, Progress, Stage
from rvc_operator.plan.actions import VoicePlan
from rvc_operator.plan.observed import ObservedVoice
from rvc_operator.runtime.cache import Kind
from rvc_operator.runtime.silence import LONGEST_PAUSE_SECONDS, Silences

from . import factory
from .decisions import plan_voice
from .factory import NOW, Body, after, job, message, seconds, state, trainer
from .kubelet import Work
from .manifests import voice_spec
from .stand_ins import A_LITTLE_PROGRESS
from .world import World, condition

LIMIT = 3600
CONFIG = dataclasses.replace(factory.CONFIG, hung_seconds=LIMIT)
FETCHING = Progress(Stage.FETCHING)


def plan(body: Body, now: float = 0, **observed: Any) -> VoicePlan:
    return plan_voice(ObservedVoice(body, **observed), CONFIG, NOW + seconds(now))


STARTED = after(factory.voice(), plan(factory.voice()))
FIRST = STARTED["status"]["training"]["jobName"]
SECOND = FIRST.removesuffix("1") + "2"
RUNNING = {"jobs": (job(FIRST),), "trainers": (trainer(FIRST),)}
FETCHES = after(STARTED, plan(STARTED, progress=FETCHING, **RUNNING))


def test_a_trainer_that_says_the_same_for_too_long_is_replaced() -> None:
    early = plan(FETCHES, LIMIT - 1, progress=FETCHING, **RUNNING)
    assert (state(early), early.delete) == (("Unknown", "Training"), ())
    assert after(FETCHES, early) == FETCHES, "no write as long as nothing changes"
    late = plan(FETCHES, LIMIT, progress=FETCHING, **RUNNING)
    assert state(late) == ("Unknown", "TrainingRetrying")
    assert late.delete == (FIRST,)
    training = late.status.training
    assert training.failures == 1
    assert training.last_failure is not None
    assert training.last_failure.reason == "Hung"
    assert f"no progress for {LIMIT} s in stage Fetching" in message(late)
    due = plan(after(FETCHES, late), LIMIT + 20)
    assert [manifest["metadata"]["name"] for manifest in due.create] == [SECOND]
    assert due.status.training.last_updated_time is None


@pytest.mark.parametrize(
    "news",
    [
        {"stage": Stage.PREPARING},
        {"progress_percentage": 1},
        {"epoch": 1},
        {"estimated_remaining_seconds": 5},
        {"metrics": (Metric("loss", "0.1"),)},
    ],
)
def test_whatever_is_new_is_a_sign_of_life(news: Any) -> None:
    said = Progress(**({"stage": Stage.FETCHING} | news))
    alive = plan(FETCHES, 10 * LIMIT, progress=said, **RUNNING)
    assert state(alive) == ("Unknown", "Training")
    assert alive.status.training.last_updated_time == NOW + seconds(10 * LIMIT)


def test_attempts_that_hang_again_and_again_end_it() -> None:
    spec = voice_spec()
    spec["training"] = spec["training"] | {"backoffLimit": 0}
    ended = plan(FETCHES | {"spec": spec}, LIMIT, progress=FETCHING, **RUNNING)
    assert state(ended) == ("False", "Hung")
    assert state(ended, "Stalled") == ("True", "Hung")
    assert ended.delete == (FIRST,)


def test_a_new_pod_of_the_same_job_has_its_own_time() -> None:
    later = {"jobs": (job(FIRST),), "trainers": (trainer(FIRST, created=NOW + seconds(9 * LIMIT)),)}
    young = plan(FETCHES, 10 * LIMIT - 1, progress=FETCHING, **later)
    assert state(young) == ("Unknown", "Training")
    old = plan(FETCHES, 10 * LIMIT, progress=FETCHING, **later)
    assert state(old) == ("Unknown", "TrainingRetrying")


def test_what_an_operator_of_an_older_release_wrote_proves_nothing() -> None:
    training = dict(FETCHES["status"]["training"])
    del training["lastUpdatedTime"]
    older = FETCHES | {"status": FETCHES["status"] | {"training": training}}
    seen = plan(older, 10 * LIMIT, progress=FETCHING, **RUNNING)
    assert state(seen) == ("Unknown", "Training")
    assert seen.status.training.last_updated_time == NOW + seconds(10 * LIMIT)


def test_silence_counts_only_as_long_as_somebody_asked() -> None:
    assert state(plan(FETCHES, 10 * LIMIT, **RUNNING)) == ("Unknown", "Training")
    asked = plan(FETCHES, 10 * LIMIT, silent_seconds=LIMIT - 1, **RUNNING)
    assert state(asked) == ("Unknown", "Training")
    enough = plan(FETCHES, 10 * LIMIT, silent_seconds=LIMIT, **RUNNING)
    assert enough.status.training.last_failure is not None
    assert enough.status.training.last_failure.reason == "Hung"


def test_a_trainer_that_was_never_reached_is_left_to_its_deadline() -> None:
    unreached = plan(STARTED, 2 * LIMIT, silent_seconds=2 * LIMIT, **RUNNING)
    assert (state(unreached), unreached.delete) == (("Unknown", "Training"), ())


def test_silence_is_the_time_between_questions_in_vain() -> None:
    now = 0.0
    silences = Silences(lambda: now)
    for moment in (0.0, 100.0, 250.0):
        now = moment
        silences.missed("pod")
    assert silences.seconds("pod") == 250.0
    now += LONGEST_PAUSE_SECONDS + 1
    silences.missed("pod")
    assert silences.seconds("pod") == 0.0, "nobody asked in between"
    now += 10
    silences.missed("pod")
    silences.missed("other")
    assert (silences.seconds("pod"), silences.seconds("other")) == (10.0, 0.0)
    silences.answered("pod")
    assert silences.seconds("pod") == 0.0
    silences.missed("pod")
    now += 20
    silences.missed("pod")
    silences.forget()
    assert silences.seconds("pod") == 0.0


@pytest.mark.cluster
@pytest.mark.parametrize("answers", [True, False])
async def test_a_hung_trainer_is_replaced_on_a_real_cluster(lone_world: World, answers: bool) -> None:
    world = lone_world
    world.operator.start(RVC_HUNG_SECONDS="2")
    world.kubelet.script.append(Work())
    await world.create(Kind.VOICE, "alice", voice_spec())

    async def heard() -> bool:
        training = (await world.get(Kind.VOICE, "alice")).get("status", {}).get("training", {})
        return "lastUpdatedTime" in training

    await world.until("the trainer has been heard", heard)
    assert world.kubelet.trainer().progress == A_LITTLE_PROGRESS
    if not answers:
        await world.kubelet.trainer().stop()
    voice = await world.until_ready(Kind.VOICE, "alice", "True", "Available")
    training = voice["status"]["training"]
    assert (training["attempt"], training["failures"]) == (2, 1)
    assert training["lastFailure"]["reason"] == "Hung"
    assert "TrainingRetrying" in world.events()


@pytest.mark.cluster
async def test_a_restart_of_the_operator_leaves_the_time_without_progress_as_it_is(lone_world: World) -> None:
    world = lone_world
    world.operator.start(RVC_HUNG_SECONDS="3600")
    world.kubelet.script.append(Work())
    spec = voice_spec()
    await world.create(Kind.VOICE, "alice", spec | {"training": spec["training"] | {"backoffLimit": 0}})

    async def heard() -> bool:
        training = (await world.get(Kind.VOICE, "alice")).get("status", {}).get("training", {})
        return training.get("progressPercentage") == 10

    await world.until("the trainer has been heard", heard)
    before = await world.get(Kind.VOICE, "alice")
    world.operator.kill()
    world.operator.start(RVC_HUNG_SECONDS="3600")
    asked = len(world.kubelet.trainer().requests)

    async def asked_again() -> bool:
        return len(world.kubelet.trainer().requests) > asked + 2

    await world.until("the trainer is asked again", asked_again)
    assert await world.get(Kind.VOICE, "alice") == before
    # With a limit that has passed by now, the very first answer is enough.
    world.operator.kill()
    world.operator.start(RVC_HUNG_SECONDS="0.5")
    voice = await world.until_ready(Kind.VOICE, "alice", "False", "Hung")
    assert condition(voice, "Stalled")["reason"] == "Hung"

    async def nothing_runs() -> bool:
        return await world.all(Kind.JOB) == [] and await world.all(Kind.POD) == []

    await world.until("no GPU is held", nothing_runs)
