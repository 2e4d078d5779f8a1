"""The trainer as a process: progress over HTTP, SIGTERM, going on, publishing once."""

import signal
from pathlib import Path

import msgspec
import pytest

from rvc.contract import Progress, Stage, TrainingResult, encode
from rvc.store import open_store
from rvc.voice import fetch_voice
from tests.fixtures.base_models import base_models
from tests.fixtures.programs import Program, eventually, flip_last_bit
from tests.trainer.recordings import SETTINGS, request, write_dataset

__all__ = ["base_models"]

MANY_EPOCHS = 8


class Trainer(Program):
    """A training attempt."""

    def __init__(self, folder: Path, text: str) -> None:
        self._message = folder / "termination-log"
        environment = {
            "RVC_TRAINING_REQUEST": text,
            "RVC_CLAIMS_FOLDER": str(folder / "claims"),
            "RVC_TERMINATION_MESSAGE_PATH": str(self._message),
        }
        super().__init__("rvc_trainer", folder, environment)

    def progress(self) -> Progress:
        """What the operator sees."""
        port = self.logged_or_ended("attempt begins")["port"]
        return msgspec.json.decode(self.get(port, "/progress"), type=Progress)

    def result(self) -> TrainingResult:
        """The termination message."""
        return msgspec.json.decode(self._message.read_bytes(), type=TrainingResult)


def checkpoints(claim: Path) -> list[Path]:
    return sorted(claim.glob("voices/demo/ann/0123456789/checkpoints/*.checkpoint"))


@pytest.mark.parametrize("text", ["{", "{}", '{"surprise": 1}'])
def test_a_request_of_another_release_is_refused(tmp_path, text):
    with Trainer(tmp_path, text) as trainer:
        assert trainer.end() == 11
        assert trainer.result().reason == "ConfigurationInvalid"
        assert "same release" in trainer.result().message


def test_a_training_that_is_stopped_goes_on_and_publishes_once(tmp_path, base_models):
    claim = tmp_path / "claims" / "data"
    write_dataset(claim)
    text = encode(request(training=msgspec.structs.replace(SETTINGS, epochs=MANY_EPOCHS)))

    with Trainer(tmp_path, text) as first:

        def trained() -> bool:
            return first.progress().epoch >= 3

        eventually(trained, "the third epoch")
        progress = first.progress()
        assert (progress.stage, progress.total_epochs) == (Stage.TRAINING, MANY_EPOCHS)
        first.process.send_signal(signal.SIGTERM)
        assert first.end() == 143
        assert first.result().reason == "Terminated"
    kept = checkpoints(claim)
    assert len(kept) == 2
    assert not (claim / "voices/demo/ann/0123456789/manifest.json").exists()

    flip_last_bit(kept[-1])
    with Trainer(tmp_path, text) as second:
        assert second.end() == 0, second.log()[-1]
        skipped, resumed = (
            second.logged("checkpoint skipped"),
            second.logged("training goes on from a checkpoint"),
        )
        assert skipped["checkpoint"].endswith(kept[-1].name)
        assert resumed["checkpoint"].endswith(kept[-2].name)
        assert second.logged("features of earlier attempts are used")["recordings"] == 3
        result = second.result()
    store, prefix = open_store(f"file://{claim}/voices/demo/ann/0123456789/")
    voice = fetch_voice(store, prefix, tmp_path / "fetched", result.manifest_digest)
    assert voice.size_bytes == result.size_bytes
    assert voice.manifest.name == "demo/ann"
    assert {metric.name for metric in result.metrics} == set(voice.manifest.metrics)
    assert voice.manifest.metrics["refusedRecordings"] == 1
    assert not list(claim.glob("voices/demo/ann/0123456789/checkpoints/**/*.*"))

    published = {path: path.stat().st_mtime_ns for path in claim.rglob("voices/**/*") if path.is_file()}
    with Trainer(tmp_path, text) as third:
        assert third.end() == 0
        assert third.result() == result
        assert third.logged("this revision is published already")
    assert {
        path: path.stat().st_mtime_ns for path in claim.rglob("voices/**/*") if path.is_file()
    } == published
