"""How a voice whose files go with it comes to its end, and that it always does."""

from typing import Any

import pytest

from rvc_operator.api.names import FINALIZER, SKIP_CLEAN_UP_ANNOTATION
from rvc_operator.api.objects import Job
from rvc_operator.api.rules import to_object
from rvc_operator.plan.deletion import (
    DeletionPlan,
    finalizers_to_write,
    plan_deletion,
    plan_refused_clean_up,
)
from rvc_operator.plan.observed import ObservedVoice

from . import factory
from .decisions import plan_voice
from .factory import CONFIG, NOW, Body, deployment, job, moment, seconds, trainer
from .manifests import voice_spec

CLEANER = "alice-clean-up-uid-alic"
TRAINING = "alice-train-467a7dc493-1"
TERMINATING = "unable to create new content in namespace test because it is being terminated"


def deleted(*finalizers: str, annotations: Body | None = None, **spec: Any) -> Body:
    body = factory.voice(voice_spec(**({"deletionPolicy": "Delete"} | spec)))
    marks = {"deletionTimestamp": moment(NOW), "finalizers": [*finalizers, FINALIZER]}
    return body | {"metadata": body["metadata"] | marks | {"annotations": annotations or {}}}


def plan(body: Body, later: float = 0, **observed: Any) -> DeletionPlan:
    return plan_deletion(ObservedVoice(body, **observed), CONFIG, NOW + seconds(later))


def reason(plan: DeletionPlan) -> tuple[str, str]:
    [ready] = [one for one in plan.status.conditions if one.type == "Ready"]
    return ready.status.value, ready.reason


def cleaner(ended: str = "") -> Job:
    return job(CLEANER, ended=ended)


def test_a_voice_is_held_from_the_start_and_let_go_with_the_policy() -> None:
    body = factory.voice(voice_spec(deletionPolicy="Delete"))
    assert finalizers_to_write(body) == [FINALIZER]
    body["metadata"]["finalizers"] = ["theirs", FINALIZER]
    assert finalizers_to_write(body) is None
    assert finalizers_to_write(body | {"spec": voice_spec()}) == ["theirs"]
    assert finalizers_to_write(factory.voice()) is None


def test_first_nothing_writes_any_more() -> None:
    pods, serving = (trainer(TRAINING),), deployment("467a7dc493", 2)
    ending = plan(deleted(), jobs=(job(TRAINING),), trainers=pods, deployment=serving)
    assert (ending.delete, ending.scale, ending.create, ending.release) == ((TRAINING,), 0, (), False)
    assert reason(ending) == ("Unknown", "CleaningUp")
    assert plan(deleted(), trainers=pods).create == ()
    lost = trainer(TRAINING, deleted=NOW - seconds(60))
    assert plan(deleted(), trainers=(lost,)).create != ()


def test_then_a_job_removes_the_folder_of_the_voice() -> None:
    [manifest] = plan(deleted()).create
    assert manifest["metadata"]["name"] == CLEANER
    assert "ownerReferences" not in manifest["metadata"]
    [container] = manifest["spec"]["template"]["spec"]["containers"]
    environment = {one["name"]: one.get("value") for one in container["env"]}
    assert '"uri":"pvc://voices/models/test/alice/"' in environment["RVC_CLEAN_UP_REQUEST"]
    assert container["volumeMounts"][-1] == {
        "name": "claim-0",
        "mountPath": "/mnt/claims/voices",
        "readOnly": False,
    }


def test_then_it_is_let_go() -> None:
    working = plan(deleted(), clean_up=cleaner())
    assert (working.release, working.create, reason(working)) == (False, (), ("Unknown", "CleaningUp"))
    done = plan(deleted(), clean_up=cleaner("Complete"))
    assert (done.release, done.events) == (True, ())


def test_a_plan_that_was_carried_out_asks_for_nothing_more() -> None:
    body = deleted()
    first = plan(body, clean_up=cleaner())
    again = plan(body | {"status": to_object(first.status)}, 5, clean_up=cleaner())
    assert (to_object(again.status), again.events) == (to_object(first.status), ())


@pytest.mark.parametrize(
    ("body", "observed", "later", "said"),
    [
        (deleted(), {"clean_up": cleaner("Failed")}, 0, "the store is away"),
        (deleted(), {"clean_up": cleaner()}, 600, "within 600 s"),
        (deleted(storage={}), {}, 0, "spec is not valid"),
    ],
)
def test_what_goes_wrong_is_said_and_holds_nobody_up(
    body: Body, observed: Body, later: float, said: str
) -> None:
    pod = trainer(CLEANER, "Failed", exit_code=13, message='{"message": "the store is away"}')
    over = plan(body, later, cleaners=(pod,), **observed)
    [event] = over.events
    assert over.release
    # None is left at work on a folder that another voice of this name may use.
    assert over.delete == ((CLEANER,) if later else ())
    assert (event.reason, event.warning) == ("CleanUpFailed", True)
    assert said in event.message


def test_an_annotation_lets_it_go_at_once() -> None:
    body = deleted(annotations={SKIP_CLEAN_UP_ANNOTATION: "true"})
    over = plan(body, jobs=(job(TRAINING),), trainers=(trainer(TRAINING),))
    assert (over.release, over.events) == (True, ())


def test_a_job_that_is_refused_is_offered_again_for_ten_minutes() -> None:
    observed = ObservedVoice(deleted())
    asked = plan_refused_clean_up(observed, "exceeded quota", NOW + seconds(599))
    assert (asked.release, reason(asked)) == (False, ("Unknown", "CleaningUp"))
    assert plan_refused_clean_up(observed, "exceeded quota", NOW + seconds(600)).release


def test_a_namespace_that_goes_takes_no_job_and_is_not_held_up() -> None:
    over = plan_refused_clean_up(ObservedVoice(deleted()), TERMINATING, NOW)
    assert over.release
    assert TERMINATING in over.events[0].message


def test_a_voice_of_the_same_name_waits_until_the_files_of_the_old_one_have_gone() -> None:
    late = ObservedVoice(factory.voice(), cleaners=(trainer(CLEANER),))
    assert plan_voice(late, CONFIG, NOW).create == ()
    over = ObservedVoice(factory.voice(), cleaners=(trainer(CLEANER, "Succeeded", exit_code=0),))
    assert plan_voice(over, CONFIG, NOW).create != ()
