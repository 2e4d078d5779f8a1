"""An attempt at a voice that was trained elsewhere: its files become a published voice, or an error that says
which of them is not what it should be."""

import os
import threading
from pathlib import Path

import msgspec
import pytest

from rvc.contract import Consent, ExitCode, ImportSource, Progress, Stage, StoreSettings, TrainingRequest
from rvc.errors import RvcError
from rvc.exit_codes import exit_code
from rvc.store import open_store
from rvc.voice import fetch_voice
from rvc_trainer.attempt import run_attempt
from rvc_trainer.inputs import MOST_CHECKPOINT_BYTES
from tests.community.models import official_content, write_index, write_pth
from tests.trainer.recordings import request as training_request

FILES = ImportSource(model_uri="pvc://data/downloads/ann.pth", index_uri="pvc://data/downloads/ann.index")


@pytest.fixture
def downloads(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("RVC_CLAIMS_FOLDER", str(tmp_path / "claims"))
    folder = tmp_path / "claims" / "data" / "downloads"
    folder.mkdir(parents=True)
    write_pth(folder / "ann.pth")
    write_index(folder / "ann.index")
    return folder


def request(source: ImportSource = FILES, **changes: object) -> TrainingRequest:
    return training_request(dataset_uri="", import_=source, **changes)


def run(tmp_path: Path, asked: TrainingRequest, name: str = "scratch"):
    progress: list[Progress] = []
    (tmp_path / name).mkdir()
    return run_attempt(asked, tmp_path / name, progress.append, threading.Event()), progress


def failed(tmp_path: Path, asked: TrainingRequest) -> RvcError:
    with pytest.raises(RvcError) as caught:
        run(tmp_path, asked)
    assert str(tmp_path / "scratch") not in str(caught.value), "a folder of ours says nothing to the user"
    return caught.value


def test_the_files_become_a_published_voice(downloads, tmp_path):
    result, progress = run(tmp_path, request(consent=Consent("I agree.")))
    stages = [one.stage for one in progress]
    assert stages == [Stage.FETCHING, Stage.PREPARING, Stage.DONE]
    store, prefix = open_store(result.artifact_uri, StoreSettings())
    voice = fetch_voice(store, prefix, tmp_path / "fetched", result.manifest_digest)
    assert (voice.manifest.name, voice.manifest.revision) == ("demo/ann", "0123456789")
    assert voice.manifest.origin["modelUri"] == FILES.model_uri
    assert voice.manifest.origin["index"] == "ann.index"
    assert voice.manifest.consent.statement == "I agree."
    assert voice.size_bytes == result.size_bytes
    index = voice.index()
    assert index is not None
    assert index.rows == 100


def test_an_attempt_after_publishing_changes_nothing(downloads, tmp_path):
    first, _ = run(tmp_path, request())
    (downloads / "ann.pth").unlink()
    again, _ = run(tmp_path, request(), "again")
    assert again == first


def test_a_voice_may_come_without_an_index(downloads, tmp_path):
    result, _ = run(tmp_path, request(ImportSource("pvc://data/downloads/ann.pth")))
    store, prefix = open_store(result.artifact_uri, StoreSettings())
    assert fetch_voice(store, prefix, tmp_path / "fetched", None).index() is None


@pytest.mark.parametrize(
    ("source", "reason", "words"),
    [
        (ImportSource("pvc://data/none.pth"), "ImportNotFound", "pvc://data/none.pth is not there"),
        (ImportSource("pvc://other/a.pth"), "ImportNotFound", "claim other is not mounted"),
        (
            ImportSource(FILES.model_uri, "pvc://data/none.index"), "ImportNotFound",
            "pvc://data/none.index is not there",
        ),
        (ImportSource(FILES.index_uri), "ArtifactCorrupt", f"{FILES.index_uri} is no PyTorch file"),
        (
            ImportSource(FILES.model_uri, FILES.model_uri), "ArtifactCorrupt",
            f"{FILES.model_uri} is no index of an RVC voice",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_imported_is_final_and_named(downloads, tmp_path, source, reason, words):
    error = failed(tmp_path, request(source))
    assert (exit_code(error), error.reason) == (ExitCode.CONFIGURATION_INVALID, reason)
    assert words in str(error)


def test_a_file_that_wants_something_called_is_final_and_calls_nothing(downloads, tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "trace"),)

    write_pth(downloads / "ann.pth", official_content(info=Evil()))
    error = failed(tmp_path, request())
    assert (exit_code(error), error.reason) == (ExitCode.CONFIGURATION_INVALID, "UnsafePickle")
    assert "pvc://data/downloads/ann.pth" in str(error)
    assert not (tmp_path / "trace").exists()


def test_a_file_that_is_too_large_is_not_fetched(downloads, tmp_path):
    os.truncate(downloads / "ann.pth", MOST_CHECKPOINT_BYTES + 1)  # sparse: takes no room
    error = failed(tmp_path, request())
    assert (exit_code(error), error.reason) == (ExitCode.CONFIGURATION_INVALID, "ImportTooLarge")
    assert list((tmp_path / "scratch").rglob("*.pth")) == []


def test_a_stop_ends_the_attempt(downloads, tmp_path):
    (tmp_path / "scratch").mkdir()
    stopped = threading.Event()
    stopped.set()
    with pytest.raises(RvcError) as caught:
        run_attempt(request(), tmp_path / "scratch", lambda _: None, stopped)
    assert exit_code(caught.value) == ExitCode.TERMINATED


@pytest.mark.parametrize("changes", [{"dataset_uri": ""}, {"dataset_uri": "pvc://a/b/", "import_": FILES}])
def test_a_request_has_one_origin(changes):
    with pytest.raises(ValueError, match="exactly one"):
        training_request(**changes)


def test_a_request_travels_as_text():
    asked = request()
    text = msgspec.json.encode(asked)
    assert b'"import":{"modelUri":"pvc://data/downloads/ann.pth"' in text
    assert msgspec.json.decode(text, type=TrainingRequest) == asked
    with pytest.raises(msgspec.ValidationError, match="exactly one"):
        msgspec.json.decode(
            text.replace(b'"import"', b'"datasetUri":"pvc://a/b/","import"'), type=TrainingRequest
        )
