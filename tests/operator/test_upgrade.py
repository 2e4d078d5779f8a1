"""What the releases before have left in the API server is carried on by this one, without doing it again.

The statuses are as they were written then: before sharding (one `assignment` for the whole Conversion) and
before the fields that came since.
"""

from typing import Any

import pytest

from rvc.contract import ConversionState, ConversionStatus, FileCounts
from rvc_operator.config import Config
from rvc_operator.plan.actions import ConversionPlan
from rvc_operator.plan.observed import ObservedConversion, ObservedVoice

from . import factory
from .decisions import plan_conversion, plan_voice
from .factory import (
    CONFIG,
    DIGEST,
    NOW,
    Body,
    after,
    deployment,
    job,
    moment,
    seconds,
    server,
    state,
    trainer,
)
from .manifests import conversion_spec, voice_spec
from .test_conversion_plan import available
from .test_serving_plan import REVISION

START = moment(NOW - seconds(100))


def condition(type: str, status: str, reason: str) -> Body:
    """As written by the release before."""
    return {
        "type": type,
        "status": status,
        "reason": reason,
        "message": "said before the upgrade",
        "lastTransitionTime": START,
        "observedGeneration": 1,
    }


def conversion_of_then(reason: str, ready: str = "Unknown", **status: Any) -> Body:
    abnormal = [condition("Reconciling", "True", reason)] if ready == "Unknown" else []
    written = {
        "observedGeneration": 1,
        "conditions": [condition("Ready", ready, reason), *abnormal],
        "voiceRevision": REVISION,
        "startTime": START,
        "attempt": 1,
        "failedAttempts": 0,
        "failures": [],
    }
    return factory.conversion(status=written | status)


def decide(body: Body, **observed: Any) -> ConversionPlan:
    everything = {
        "voice": available(),
        "deployment": deployment(REVISION, 1),
        "servers": (server("a", REVISION),),
    } | observed
    return plan_conversion(ObservedConversion(body, **everything), CONFIG, NOW)


def test_a_conversion_that_was_at_work_before_sharding_goes_on_with_its_server() -> None:
    assignment = {"pod": "a", "podUID": "uid-a", "podIP": "10.0.0.2", "dispatchTime": START}
    files = {"total": 9, "succeeded": 4, "failed": 0, "skipped": 0}
    running = conversion_of_then("Converting", assignment=assignment, files=files)
    planned = decide(running)
    assert state(planned) == ("Unknown", "Converting")
    [(given, request)] = planned.start
    assert given.pod == "a"
    assert request.voice.revision == REVISION
    assert planned.status.attempt == 1
    assert planned.status.failed_attempts == 0
    answers = {0: ConversionStatus(ConversionState.FINISHED, files=FileCounts(9, 5, 0, 4))}
    ended = decide(after(running, planned), answers=answers)
    assert state(ended) == ("True", "Converted")
    assert ended.status.files.total == 9


def test_a_conversion_that_was_done_before_sharding_stays_as_it_is() -> None:
    files = {"total": 9, "succeeded": 9, "failed": 0, "skipped": 0}
    end = {"completionTime": START, "resultsUri": "pvc://voices/results.json", "files": files}
    done = conversion_of_then("Converted", "True", **end)
    planned = decide(done)
    assert (planned.start, planned.stop, planned.events, planned.remove) == ((), (), (), False)
    assert state(planned) == ("True", "Converted")
    assert (planned.status.files.succeeded, planned.status.results_uri) == (9, end["resultsUri"])


def test_a_conversion_that_waited_to_be_tried_again_waits_on() -> None:
    due = moment(NOW + seconds(30))
    waits = decide(conversion_of_then("ConversionRetrying", failedAttempts=1, nextRetryTime=due))
    assert (state(waits), waits.start) == (("Unknown", "ConversionRetrying"), ())


@pytest.fixture
def revision() -> str:
    """Digest of a spec that was written before every field that has a default."""
    return plan_voice(ObservedVoice(factory.voice()), CONFIG, NOW).status.revision.desired or ""


def voice_of_then(wanted: str, ready: str, reason: str, **status: Any) -> Body:
    written = {
        "observedGeneration": 1,
        "conditions": [condition("Ready", ready, reason), condition("Trained", ready, reason)],
        "revision": {"desired": wanted},
    }
    return factory.voice(status=written | status)


def test_training_that_runs_is_not_started_again(revision: str) -> None:
    name = f"alice-train-{revision}-1"
    training = {"revision": revision, "attempt": 1, "jobName": name, "startTime": START, "epoch": 12}
    body = voice_of_then(revision, "Unknown", "Training", training=training)
    planned = plan_voice(
        ObservedVoice(body, jobs=(job(name, started=NOW - seconds(90)),), trainers=(trainer(name),)),
        CONFIG,
        NOW,
    )
    assert (planned.delete, planned.status.training.attempt) == ((), 1)
    assert planned.status.training.job_name == name
    assert planned.status.training.epoch == 12
    assert {one["metadata"]["name"] for one in planned.create} <= {name}
    assert state(planned) == ("Unknown", "Training")


def test_a_trained_voice_is_served_and_not_trained_again(revision: str) -> None:
    training = {"revision": revision, "attempt": 1, "progressPercentage": 100, "completionTime": START}
    artifact = {
        "uri": f"pvc://voices/models/test/alice/{revision}/",
        "manifestDigest": DIGEST,
        "sizeBytes": 7,
    }
    body = voice_of_then(
        revision,
        "True",
        "Available",
        training=training,
        artifact=artifact,
        revision={"desired": revision, "serving": revision},
    )
    planned = plan_voice(ObservedVoice(body), CONFIG, NOW)
    assert (planned.create, planned.delete) == ((), ())
    assert state(planned) == ("True", "Available")
    assert state(planned, "Trained") == ("True", "Published")


def test_another_image_of_trainer_and_server_retrains_nothing(revision: str) -> None:
    newer = Config("registry/rvc-trainer:2", "registry/rvc-inference:2", public_key=CONFIG.public_key)
    again = plan_voice(ObservedVoice(factory.voice()), newer, NOW).status.revision.desired
    assert again == revision
    assert (
        revision
        == plan_voice(ObservedVoice(factory.voice(voice_spec())), CONFIG, NOW).status.revision.desired
    )


def test_what_a_newer_release_has_stored_does_no_harm(revision: str) -> None:
    """A downgrade: fields that this release does not know, in spec and status."""
    body = voice_of_then(revision, "Unknown", "Pending", dreams={"of": "sheep"})
    body["spec"] = body["spec"] | {"mood": "merry"}
    assert plan_voice(ObservedVoice(body), CONFIG, NOW).status.revision.desired == revision
    unknown = factory.conversion(conversion_spec(mood="merry"), {"observedGeneration": 1, "dreams": 3})
    assert state(decide(unknown)) == ("Unknown", "Converting")
