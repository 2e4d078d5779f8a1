"""Training, decision by decision: what is done, what is written, when it is looked at again."""

from datetime import datetime

import pytest

from rvc.contract import (
    ACCELERATOR_OUT_OF_MEMORY,
    ExitCode,
    Metric,
    Progress,
    Stage,
    TrainingRequest,
    TrainingResult,
    encode,
)
from rvc_operator.plan.actions import VoicePlan
from rvc_operator.plan.observed import ObservedVoice

from . import factory
from .decisions import plan_rejected_voice, plan_voice
from .factory import CONFIG, DIGEST, NOW, Body, after, job, message, seconds, state, trainer
from .kubelet import contract_request
from .manifests import voice_spec

NEW = factory.voice()
REVISION = plan_voice(ObservedVoice(NEW), CONFIG, NOW).status.revision.desired
FIRST, SECOND = f"alice-train-{REVISION}-1", f"alice-train-{REVISION}-2"
STARTED = after(NEW, plan_voice(ObservedVoice(NEW), CONFIG, NOW))
FOLDER = f"pvc://voices/models/test/alice/{REVISION}/"
RESULT = encode(TrainingResult(FOLDER, DIGEST, 7, (Metric("loss", "0.1"),)))


def plan(body: Body, *, now: datetime = NOW, **observed: object) -> VoicePlan:
    return plan_voice(ObservedVoice(body, **observed), CONFIG, now)  # type: ignore[arg-type]


def failed(code: int, message: str = "", **more: object) -> VoicePlan:
    """The plan after the first attempt ended with an exit code."""
    pod = trainer(FIRST, "Failed", exit_code=code, message=message, **more)  # type: ignore[arg-type]
    return plan(STARTED, jobs=(job(FIRST, ended="Failed"),), trainers=(pod,))


def request_of(planned: VoicePlan) -> TrainingRequest:
    [manifest] = planned.create
    environment = manifest["spec"]["template"]["spec"]["containers"][0]["env"]
    return contract_request(
        next(one["value"] for one in environment if one["name"] == "RVC_TRAINING_REQUEST")
    )


def test_a_new_voice_gets_its_first_attempt() -> None:
    first = plan(NEW)
    assert [manifest["metadata"]["name"] for manifest in first.create] == [FIRST]
    assert state(first) == ("Unknown", "Pending")
    assert state(first, "Reconciling") == ("True", "Pending")
    assert state(first, "Serving") == ("False", "NotTrained")
    assert first.status.training.attempt == 1
    assert request_of(first).artifact_uri == FOLDER


def test_dying_between_the_job_and_the_status_makes_no_second_job() -> None:
    again = plan(NEW, jobs=(job(FIRST),))
    assert [manifest["metadata"]["name"] for manifest in again.create] == [FIRST]
    assert (again.status.training.attempt, again.delete) == (1, ())


def test_progress_is_copied() -> None:
    progress = Progress(
        Stage.TRAINING,
        progress_percentage=40,
        epoch=12,
        total_epochs=30,
        estimated_remaining_seconds=90,
        metrics=(Metric("loss", "0.5"), Metric("loss", "0.4")),
    )
    running = plan(STARTED, jobs=(job(FIRST),), trainers=(trainer(FIRST),), progress=progress)
    training = running.status.training
    assert state(running) == ("Unknown", "Training")
    assert (training.stage, training.epoch, training.estimated_remaining_seconds) == ("Training", 12, 90)
    assert [(one.name, one.value) for one in training.metrics] == [("loss", "0.4")]
    assert running.requeue_seconds == CONFIG.poll_seconds


def test_a_trainer_that_does_not_answer_keeps_its_last_progress() -> None:
    seen = Progress(Stage.TRAINING, progress_percentage=40)
    running = {"jobs": (job(FIRST),), "trainers": (trainer(FIRST),)}
    before = plan(STARTED, **running, progress=seen)
    assert plan(after(STARTED, before), **running).status == before.status


def test_success_is_published_with_its_metrics() -> None:
    pod = trainer(FIRST, "Succeeded", exit_code=0, message=RESULT)
    done = plan(STARTED, jobs=(job(FIRST, ended="Complete"),), trainers=(pod,))
    assert state(done) == ("True", "Available")
    assert state(done, "Trained") == ("True", "Published")
    assert state(done, "Reconciling") is None
    assert done.status.artifact is not None
    assert done.status.artifact.manifest_digest == DIGEST
    assert done.status.revision.serving == REVISION
    assert done.status.training.progress_percentage == 100
    assert {manifest["kind"] for manifest in done.apply} == {"Deployment", "Service"}


@pytest.mark.parametrize(
    "said", ["", "Traceback ...", encode(TrainingResult("pvc://voices/", "sha256:short"))]
)
def test_success_without_a_result_is_a_failure(said: str) -> None:
    pod = trainer(FIRST, "Succeeded", exit_code=0, message=said)
    ended = plan(STARTED, jobs=(job(FIRST, ended="Complete"),), trainers=(pod,))
    assert state(ended) == ("Unknown", "TrainingRetrying")
    assert ended.status.training.last_failure is not None
    assert ended.status.training.last_failure.reason == "TrainerFailed"
    assert ended.status.artifact is None


@pytest.mark.parametrize(
    ("code", "reason", "outcome"),
    [(10, "DatasetInvalid", "DatasetInvalid"), (11, "ConfigurationInvalid", "ConfigurationInvalid")],
)
def test_final_exit_codes_stop_it(code: int, reason: str, outcome: str) -> None:
    ended = failed(code, encode(TrainingResult(reason="Whatever", message="do this instead")))
    assert state(ended) == ("False", reason)
    assert state(ended, "Stalled") == ("True", reason)
    assert message(ended) == "do this instead"
    assert ended.status.training.last_failure is not None
    assert ended.status.training.last_failure.reason == outcome
    assert ended.requeue_seconds is None


@pytest.mark.parametrize(
    ("code", "outcome"),
    [(12, "PermissionDenied"), (13, "StoreUnavailable"), (14, "AcceleratorError"), (1, "TrainerFailed")],
)
def test_retriable_exit_codes_are_counted_and_retried(code: int, outcome: str) -> None:
    ended = failed(code)
    training = ended.status.training
    assert state(ended) == ("Unknown", outcome if code == 12 else "TrainingRetrying")
    assert training.last_failure is not None
    assert (training.last_failure.reason, training.last_failure.exit_code) == (outcome, code)
    assert training.failures == 1
    assert training.next_retry_time is not None
    assert outcome in message(ended)


def test_missing_rights_are_waited_for_patiently() -> None:
    soon, late = failed(13).requeue_seconds, failed(12).requeue_seconds
    assert soon is not None
    assert late is not None
    assert soon < 15 < 400 < late


@pytest.mark.parametrize("reason", ["PermissionDenied", "CredentialsMissing"])
def test_trouble_with_rights_or_credentials_is_the_reason_of_the_condition(reason: str) -> None:
    ended = failed(12, encode(TrainingResult(reason=reason, message="do this")))
    assert state(ended) == state(ended, "Trained") == ("Unknown", reason)
    assert "do this; the next attempt starts at" in message(ended)
    assert ended.requeue_seconds is not None
    assert ended.requeue_seconds > 400
    assert [event.reason for event in ended.events if event.warning] == [reason]


@pytest.mark.parametrize(
    "pod",
    [
        trainer(FIRST, "Failed", exit_code=143),
        trainer(FIRST, "Failed", exit_code=137, conditions=({"type": "DisruptionTarget", "status": "True"},)),
        trainer(FIRST, "Failed", exit_code=137, pod_reason="Evicted"),
        trainer(FIRST, "Failed", exit_code=137, deleted=NOW),
        trainer(FIRST, "Failed", pod_reason="NodeLost"),
        None,
    ],
)
def test_disruptions_cost_no_attempt(pod: object) -> None:
    ended = plan(STARTED, jobs=(job(FIRST, ended="Failed"),), trainers=(pod,) if pod else ())
    assert state(ended) == ("Unknown", "TrainingRetrying")
    assert ended.status.training.failures == 0
    assert ended.status.training.last_failure is not None
    assert ended.status.training.last_failure.reason == "Disrupted"


@pytest.mark.parametrize("phase", ["Pending", "Running"])
def test_a_pod_that_is_seen_to_end_after_its_job_still_tells_the_result(phase: str) -> None:
    complete = job(FIRST, ended="Complete")
    early = plan(STARTED, now=NOW + seconds(59), jobs=(complete,), trainers=(trainer(FIRST, phase),))
    assert state(early) == ("Unknown", "Training")
    assert (early.status.training.next_retry_time, early.delete) == (None, ())
    assert early.requeue_seconds == CONFIG.poll_seconds
    pod = trainer(FIRST, "Succeeded", exit_code=0, message=RESULT)
    seen = plan(after(STARTED, early), now=NOW + seconds(59), jobs=(complete,), trainers=(pod,))
    assert state(seen, "Trained") == ("True", "Published")


def test_a_pod_that_is_never_seen_to_end_is_not_waited_for_for_ever() -> None:
    ended = (job(FIRST, ended="Failed"),)
    late = plan(STARTED, now=NOW + seconds(60), jobs=ended, trainers=(trainer(FIRST),))
    assert state(late) == ("Unknown", "TrainingRetrying")
    assert late.status.training.last_failure is not None
    assert late.status.training.last_failure.reason == "Disrupted"


def test_a_deleted_job_costs_no_attempt_and_its_name_is_not_used_again() -> None:
    gone = plan(STARTED)
    assert state(gone) == ("Unknown", "TrainingRetrying")
    assert gone.status.training.failures == 0
    due = plan(after(STARTED, gone), now=NOW + seconds(20))
    assert [manifest["metadata"]["name"] for manifest in due.create] == [SECOND]


def test_a_job_on_its_way_out_is_waited_for() -> None:
    leaving = plan(STARTED, jobs=(factory.deleting(job(FIRST)),), trainers=(trainer(FIRST),))
    assert leaving.status.training.next_retry_time is None
    assert leaving.create == ()


def test_out_of_memory_is_tried_once_more_in_parts() -> None:
    first = failed(137, reason="OOMKilled")
    assert state(first) == ("Unknown", "TrainingRetrying")
    second = plan(after(STARTED, first), now=NOW + seconds(20), jobs=(job(FIRST, ended="Failed"),))
    assert (request_of(second).training.batch_size, request_of(second).training.batch_parts) == (8, 4)
    pod = trainer(SECOND, "Failed", exit_code=137, reason="OOMKilled")
    third = plan(after(STARTED, second), jobs=(job(SECOND, ended="Failed"),), trainers=(pod,))
    assert state(third) == ("False", "OutOfMemory")


def test_a_full_card_is_tried_once_more_in_parts() -> None:
    full = TrainingResult(reason=ACCELERATOR_OUT_OF_MEMORY, message="use a smaller batchSize")
    first = failed(ExitCode.ACCELERATOR_ERROR, message=encode(full))
    second = plan(after(STARTED, first), now=NOW + seconds(20), jobs=(job(FIRST, ended="Failed"),))
    assert (request_of(second).training.batch_size, request_of(second).training.batch_parts) == (8, 4)


def test_no_attempt_follows_the_last_one_allowed() -> None:
    body, spec = NEW, voice_spec()
    spec["training"] = spec["training"] | {"backoffLimit": 2}
    body = after(factory.voice(spec), plan(factory.voice(spec)))
    now = NOW
    for attempt in (1, 2, 3):
        name = f"alice-train-{REVISION}-{attempt}"
        assert body["status"]["training"]["jobName"] == name
        pod = trainer(name, "Failed", exit_code=13)
        ended = plan(body, now=now, jobs=(job(name, ended="Failed"),), trainers=(pod,))
        body, now = after(body, ended), now + seconds(1000)
        if attempt < 3:
            body = after(body, plan(body, now=now, jobs=(job(name, ended="Failed"),)))
    assert state(ended) == ("False", "TrainingFailed")
    assert "StoreUnavailable" in message(ended)
    assert plan(body, now=now + seconds(10_000)).create == ()
    # A spec that changed, but not in what shapes the voice, is worth a new round at the same revision.
    raised = factory.edited(body, training=spec["training"] | {"backoffLimit": 5})
    again = plan(raised, now=now)
    assert [manifest["metadata"]["name"] for manifest in again.create] == [f"alice-train-{REVISION}-4"]
    assert again.status.training.failures == 0


def test_a_job_that_the_api_server_refuses_after_giving_up_is_created_once_it_may_be() -> None:
    given_up = after(STARTED, failed(10))
    raised = factory.edited(given_up, training=voice_spec()["training"] | {"backoffLimit": 5})
    observed = ObservedVoice(raised)
    assert plan(raised).create != ()
    refused = plan_rejected_voice(observed, CONFIG, None, "403: exceeded quota", NOW)
    assert state(refused) == ("False", "Rejected")
    assert refused.status.observed_generation == 2
    again = plan(after(raised, refused), now=NOW + seconds(60))
    assert [manifest["metadata"]["name"] for manifest in again.create] == [SECOND]


def test_back_off_doubles_with_jitter_up_to_a_limit() -> None:
    delays = []
    for failures in range(10):
        body = after(STARTED, plan(STARTED))
        status = body["status"] | {
            "training": STARTED["status"]["training"] | {"failures": failures, "attempt": 1}
        }
        spec = voice_spec()
        spec["training"] = spec["training"] | {"backoffLimit": 20}
        pod = trainer(FIRST, "Failed", exit_code=13)
        ended = plan(
            body | {"spec": spec, "status": status}, jobs=(job(FIRST, ended="Failed"),), trainers=(pod,)
        )
        assert ended.requeue_seconds is not None
        delays.append(ended.requeue_seconds)
    for failures, delay in enumerate(delays):
        nominal = min(10 * 2**failures, 600)
        assert 0.8 * nominal <= delay <= 1.2 * nominal


@pytest.mark.parametrize(
    ("waiting", "reason"),
    [
        (("ErrImagePull", "no such image"), "ImagePullFailed"),
        (("ImagePullBackOff", "no such image"), "ImagePullFailed"),
        (("InvalidImageName", "bad name"), "ImagePullFailed"),
        (("CreateContainerConfigError", 'secret "oss" not found'), "CredentialsMissing"),
        (("CreateContainerConfigError", "container has runAsNonRoot"), "ContainerCannotStart"),
        (("CreateContainerError", "no command"), "ContainerCannotStart"),
        (("ContainerCreating", ""), "Pending"),
        (("PodInitializing", ""), "Pending"),
    ],
)
def test_waiting_containers_are_explained(waiting: tuple[str, str], reason: str) -> None:
    pod = trainer(FIRST, "Pending", waiting=waiting)
    assert state(plan(STARTED, jobs=(job(FIRST),), trainers=(pod,))) == ("Unknown", reason)


def test_a_pod_that_never_starts_is_given_up_after_the_deadline_and_its_job_removed() -> None:
    condition = {
        "type": "ContainerInstanceCreated",
        "status": "False",
        "reason": "FeatureGetNoPermission",
        "message": "not on the list",
    }
    pod = trainer(FIRST, "Pending", conditions=(condition,))
    observed = {"jobs": (job(FIRST),), "trainers": (pod,)}
    early = plan(STARTED, now=NOW + seconds(3599), **observed)
    assert state(early) == ("Unknown", "AcceleratorNotPermitted")
    late = plan(STARTED, now=NOW + seconds(3600), **observed)
    assert state(late) == ("False", "AcceleratorNotPermitted")
    assert "not on the list" in message(late)
    assert late.delete == (FIRST,)


def test_a_queued_job_has_no_pending_deadline() -> None:
    queued = plan(STARTED, now=NOW + seconds(7200), jobs=(job(FIRST, suspend=True),))
    assert state(queued) == ("Unknown", "Queued")
    assert queued.delete == ()


def test_time_in_the_queue_does_not_count_as_pending() -> None:
    admitted, pod = NOW + seconds(7200), trainer(FIRST, "Pending", created=NOW)
    just_let_go = plan(STARTED, now=admitted, jobs=(job(FIRST, resumed=True),))
    assert state(just_let_go) == ("Unknown", "Pending")
    started = job(FIRST, resumed=True, started=admitted)
    for trainers in ((), (pod,)):
        early = plan(STARTED, now=admitted + seconds(10), jobs=(started,), trainers=trainers)
        assert state(early) == ("Unknown", "Pending")
        late = plan(STARTED, now=admitted + seconds(3600), jobs=(started,), trainers=trainers)
        assert state(late, "Stalled") is not None
        assert late.delete == (FIRST,)


def test_a_job_without_a_pod_is_said_within_a_minute() -> None:
    assert state(plan(STARTED, now=NOW + seconds(10), jobs=(job(FIRST),))) == ("Unknown", "Pending")
    assert state(plan(STARTED, now=NOW + seconds(60), jobs=(job(FIRST),))) == ("Unknown", "PodNotCreated")


def test_training_that_takes_too_long_is_ended() -> None:
    observed = {"jobs": (job(FIRST),), "trainers": (trainer(FIRST),)}
    late = plan(STARTED, now=NOW + seconds(86400), **observed)
    assert state(late) == ("False", "DeadlineExceeded")
    assert late.delete == (FIRST,)


def test_suspending_ends_the_attempt_and_resuming_starts_another() -> None:
    suspended = factory.edited(STARTED, suspend=True)
    stopped = plan(suspended, jobs=(job(FIRST),), trainers=(trainer(FIRST),))
    assert state(stopped) == ("False", "Suspended")
    assert state(stopped, "Stalled") is None
    assert stopped.delete == (FIRST,)
    resumed = factory.edited(after(suspended, stopped), suspend=False)
    waiting = plan(resumed, trainers=(trainer(FIRST),))
    assert (waiting.create, state(waiting)) == ((), ("Unknown", "Pending"))
    going_on = plan(resumed)
    assert [manifest["metadata"]["name"] for manifest in going_on.create] == [SECOND]
    assert going_on.status.training.failures == 0


def test_a_pod_lost_with_its_node_is_not_waited_for_for_ever() -> None:
    gone = after(STARTED, plan(STARTED))
    stuck = trainer(FIRST, deleted=NOW)
    assert plan(gone, now=NOW + seconds(25), trainers=(stuck,)).create == ()
    assert plan(gone, now=NOW + seconds(31), trainers=(stuck,)).create != ()


def test_another_revision_waits_until_the_old_attempt_has_gone() -> None:
    changed = factory.edited(STARTED, dataset={"uri": "pvc://voices/other/"})
    turning = plan(changed, jobs=(job(FIRST),), trainers=(trainer(FIRST),))
    assert (turning.create, turning.delete) == ((), (FIRST,))
    turned = plan(after(changed, turning))
    [manifest] = turned.create
    assert manifest["metadata"]["name"] == f"alice-train-{turned.status.revision.desired}-1"
    assert turned.status.revision.desired != REVISION


def test_only_the_last_two_finished_jobs_are_kept() -> None:
    third = f"alice-train-{REVISION}-3"
    status = STARTED["status"]["training"] | {"attempt": 3, "jobName": third}
    body = STARTED | {"status": STARTED["status"] | {"training": status}}
    jobs = (job(FIRST, ended="Failed"), job(SECOND, ended="Failed"), job(third))
    assert plan(body, jobs=jobs, trainers=(trainer(third),)).delete == (FIRST,)


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"serving": {"maxReplicas": 3}}, True),
        ({"podTemplate": {"labels": {"team": "a"}}}, True),
        ({"storage": {"uri": "pvc://voices/models/", "region": "cn-x"}}, True),
        ({"accelerator": {"model": "P16EN"}}, True),
        ({"training": voice_spec()["training"] | {"backoffLimit": 9, "pendingDeadlineSeconds": 60}}, True),
        ({"training": voice_spec()["training"] | {"seed": 0}}, True),
        ({"training": voice_spec()["training"] | {"seed": 1}}, False),
        ({"training": voice_spec()["training"] | {"epochs": 31}}, False),
        ({"dataset": {"uri": "pvc://voices/recordings/", "revision": "2"}}, False),
    ],
)
def test_only_what_shapes_the_voice_makes_a_revision(changes: Body, same: bool) -> None:
    revision = plan(factory.voice(voice_spec(**changes))).status.revision.desired
    assert (revision == REVISION) is same


def test_the_revision_of_a_spec_never_changes() -> None:
    # Anybody's voices would be trained again: a new field must have a default, and the default be left out.
    assert REVISION == "467a7dc493"
