"""A voice that was trained elsewhere: one attempt that brings it, and then it is a voice like the others."""

import pytest
from msgspec.structs import replace

from rvc.contract import ExitCode, ImportSource, TrainingResult, TrainingSettings, encode
from rvc_operator.api.objects import Pod
from rvc_operator.plan.actions import VoicePlan
from rvc_operator.plan.observed import ObservedVoice

from . import factory
from .decisions import plan_voice
from .factory import CONFIG, DIGEST, NOW, Body, after, job, message, seconds, state, trainer
from .kubelet import contract_request
from .manifests import Spec, voice_spec

FILES = {"modelUri": "pvc://voices/downloads/alice.pth"}


def import_spec(files: Body = FILES, **changes: object) -> Spec:
    spec = voice_spec(**{"import": files}, training={}, accelerator={"model": "P16EN", "count": 4}, **changes)
    del spec["dataset"]
    return spec


def plan(body: Body, **observed: object) -> VoicePlan:
    return plan_voice(ObservedVoice(body, **observed), CONFIG, NOW)  # type: ignore[arg-type]


def revision(spec: Spec) -> str | None:
    return plan(factory.voice(spec)).status.revision.desired


NEW = factory.voice(import_spec())
FIRST = f"alice-train-{revision(import_spec())}-1"
STARTED = after(NEW, plan(NEW))


def ended(code: int, said: str) -> VoicePlan:
    """The plan after an attempt of 90 seconds."""
    done = code == 0
    pod = trainer(FIRST, "Succeeded" if done else "Failed", exit_code=code, message=said)
    jobs = (job(FIRST, ended="Complete" if done else "Failed"),)
    return plan(STARTED, jobs=jobs, trainers=(lasting(pod, 90),))


def lasting(pod: Pod, duration: float) -> Pod:
    (container,) = pod.status.container_statuses
    assert container.state.terminated is not None
    times = {"started_at": NOW - seconds(duration), "finished_at": NOW}
    state = replace(container.state, terminated=replace(container.state.terminated, **times))
    return replace(pod, status=replace(pod.status, container_statuses=(replace(container, state=state),)))


def test_the_attempt_is_told_of_the_files_and_waits_for_no_gpu() -> None:
    files = FILES | {"indexUri": "pvc://more/alice.index"}
    [manifest] = plan(factory.voice(import_spec(files))).create
    pod = manifest["spec"]["template"]["spec"]
    [container] = pod["containers"]
    environment = {one["name"]: one.get("value") for one in container["env"]}
    request = contract_request(environment["RVC_TRAINING_REQUEST"])
    assert request.import_ == ImportSource(files["modelUri"], files["indexUri"])
    assert (request.dataset_uri, request.training) == ("", TrainingSettings())
    assert "alibabacloud.com/ppu" not in str(manifest)
    claims = [
        one["persistentVolumeClaim"]["claimName"] for one in pod["volumes"] if "persistentVolumeClaim" in one
    ]
    assert claims == ["more", "voices"]


def test_a_voice_that_was_brought_is_served_on_the_gpu_and_has_cost_none() -> None:
    folder = f"pvc://voices/models/test/alice/{revision(import_spec())}/"
    done = ended(ExitCode.DONE, encode(TrainingResult(folder, DIGEST, 7)))
    assert state(done) == ("True", "Available")
    assert state(done, "Trained") == ("True", "Published")
    training = done.status.training
    assert (training.gpu_seconds, training.epoch, training.total_epochs) == (0, 0, 0)
    assert "alibabacloud.com/ppu" in str(done.apply)


def test_learning_on_the_gpu_costs_its_time() -> None:
    spec = voice_spec(accelerator={"model": "P16EN", "count": 4})
    body = factory.voice(spec)
    body = after(body, plan(body))
    name = f"alice-train-{revision(spec)}-1"
    pod = lasting(trainer(name, "Failed", exit_code=ExitCode.STORE_UNAVAILABLE), 90)
    failed = plan(body, jobs=(job(name, ended="Failed"),), trainers=(pod,))
    assert failed.status.training.gpu_seconds == 360


def test_a_file_that_cannot_be_used_is_the_end() -> None:
    said = encode(TrainingResult(reason="UnsafePickle", message="alice.pth refers to os.system"))
    failed = ended(ExitCode.CONFIGURATION_INVALID, said)
    assert state(failed) == ("False", "ConfigurationInvalid")
    assert state(failed, "Stalled") == ("True", "ConfigurationInvalid")
    assert "os.system" in message(failed)


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        (import_spec() | {"training": {"epochs": 3, "architecture": "Light"}}, True),
        (import_spec() | {"accelerator": {"model": "CPU"}}, True),
        (import_spec({"modelUri": "pvc://voices/downloads/alice2.pth"}), False),
        (import_spec(FILES | {"indexUri": "pvc://voices/downloads/alice.index"}), False),
        (import_spec(FILES | {"revision": "2"}), False),
        (voice_spec(), False),
    ],
)
def test_only_the_files_make_a_revision(changed: Spec, same: bool) -> None:
    assert (revision(changed) == revision(import_spec())) is same


def test_the_revision_of_a_spec_never_changes() -> None:
    assert revision(import_spec()) == "f1b58de96d"
