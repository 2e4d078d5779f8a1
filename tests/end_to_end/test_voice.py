"""The main job on a real cluster with our real images, and the ways in which people and nodes disturb it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from tests.community.models import official_content
from tests.demo.watch import condition, settled
from tests.end_to_end.world import GROUP, World, conversion, imported, voice

pytestmark = [pytest.mark.node, pytest.mark.timeout(1800)]
OPERATOR = "app.kubernetes.io/name=rvc-operator"


def test_recordings_become_a_voice_and_the_voice_speaks(world: World, tmp_path: Path) -> None:
    """Applied in any order; one good file, and a folder in which all but one file are bad."""
    world.apply(
        conversion("greeting", "anna", input={"object": "pvc://voices/inbox/greeting.wav"}),
        conversion("mixed", "anna", input={"prefix": "pvc://voices/mixed/"}, successPolicy="Any"),
    )
    world.until_reason("conversion", "greeting", "WaitingForVoice")
    world.apply(voice("anna", "recordings/allison"))

    trained = world.until_ready("voicemodel", "anna")
    world.until_ready("conversion", "greeting")
    mixed = world.until_ready("conversion", "mixed")

    assert trained["status"]["artifact"]["manifestDigest"].startswith("sha256:")
    assert mixed["status"]["files"] == {"total": 5, "succeeded": 1, "failed": 4, "skipped": 0}
    failures = {Path(each["key"]).name: each["reason"] for each in mixed["status"]["failures"]}
    assert failures.keys() == {"text.wav", "empty.wav", "silent.wav", "nan.wav"}
    assert all(reason.startswith("Audio") for reason in failures.values()), failures
    with world.files() as files:
        files.download("converted/greeting", tmp_path / "out")
        files.download("inbox", tmp_path / "in")
    spoken, rate = soundfile.read(tmp_path / "out" / "greeting.wav")
    source = soundfile.info(tmp_path / "in" / "greeting.wav")
    assert rate == 16000
    assert len(spoken) == source.frames * rate / source.samplerate
    assert np.sqrt(np.mean(spoken**2)) > 0.01


def test_the_same_yaml_again_changes_nothing(world: World) -> None:
    world.until_ready("voicemodel", "anna")
    before = settled(world.kubectl, world.namespace)
    world.apply(voice("anna", "recordings/allison"))
    world.apply(conversion("greeting", "anna", input={"object": "pvc://voices/inbox/greeting.wav"}))
    assert settled(world.kubectl, world.namespace) == before


def test_training_survives_the_loss_of_its_job_and_of_the_operator(world: World) -> None:
    """The Job is deleted by hand while it trains, then the operator's pod: the next one resumes and ends."""
    world.apply(voice("berta", "recordings/allison", epochs=24, seed=1))
    job = world.wait_until(
        "berta's first epochs", lambda: _epoch(world, "berta") >= 2 and _job(world, "berta")
    )
    world.kubectl("delete", "job", job, "-n", world.namespace, "--wait=true")
    world.kill_pods(OPERATOR, namespace="rvc-system")
    ended = world.until_ready("voicemodel", "berta")
    assert ended["status"]["training"]["jobName"] != job
    assert ended["status"]["training"].get("failures", 0) == 0
    log = world.kubectl("logs", "-n", world.namespace, f"job/{ended['status']['training']['jobName']}")
    assert "training goes on after epoch" in log


def test_a_conversion_survives_the_loss_of_its_server_and_of_the_operator(world: World) -> None:
    world.until_ready("voicemodel", "anna")
    world.apply(conversion("letters", "anna", input={"prefix": "pvc://voices/inbox/"}))
    world.wait_until(
        "the letters to be assigned", lambda: world.get("conversion", "letters")["status"].get("shards")
    )
    world.kill_pods(f"{GROUP}/voice=anna,{GROUP}/component=server")
    world.kill_pods(OPERATOR, namespace="rvc-system")
    done = world.until_ready("conversion", "letters")
    files = done["status"]["files"]
    assert files["total"] == files["succeeded"] + files["skipped"] == 8


@pytest.mark.parametrize(
    ("name", "dataset", "reason", "advice"),
    [
        ("nothing", "recordings/nothing", "DatasetInvalid", "recordings"),
        ("missing", "recordings/typo", "DatasetInvalid", "pvc://voices/recordings/typo/"),
    ],
)
def test_a_bad_dataset_ends_in_a_condition_that_says_what_to_do(
    world: World, name: str, dataset: str, reason: str, advice: str
) -> None:
    world.apply(voice(name, dataset))
    ready = world.until_reason("voicemodel", name, reason)
    assert ready["status"] == "False"
    assert advice in ready["message"]
    assert condition(world.get("voicemodel", name), "Stalled")["status"] == "True"


def test_a_base_model_that_is_missing_is_said_clearly(world: World) -> None:
    world.apply(voice("later", "recordings/allison", architecture="RVC2", sampleRateHertz=40000))
    ready = world.until_reason("voicemodel", "later", "ConfigurationInvalid")
    assert "rvc fetch-base --only contentvec" in ready["message"]


def test_a_voice_from_elsewhere_is_brought_into_the_cluster(world: World, tmp_path: Path) -> None:
    torch.save(official_content(), tmp_path / "alice.pth")
    with world.files() as files:
        files.upload(tmp_path, "downloads")
    world.apply(imported("alice", "downloads/alice.pth"))
    brought = world.until_ready("voicemodel", "alice")
    assert brought["status"]["artifact"]["manifestDigest"].startswith("sha256:")


def test_deleting_the_voices_leaves_nothing(world: World) -> None:
    for kind in ("conversions", "voicemodels"):
        world.kubectl("delete", kind, "--all", "-n", world.namespace, "--timeout=60s")
    world.wait_until(
        "every child to be gone",
        lambda: (
            not any(
                world.list(kind, f"{GROUP}/voice") for kind in ("jobs", "deployments", "services", "pods")
            )
        ),
        seconds=120,
    )


def _epoch(world: World, name: str) -> int:
    return int(world.get("voicemodel", name).get("status", {}).get("training", {}).get("epoch", 0))


def _job(world: World, name: str) -> str:
    return str(world.get("voicemodel", name)["status"]["training"]["jobName"])
