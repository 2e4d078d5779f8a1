"""What a deleted voice leaves goes, all of it and nothing else."""

import logging
from pathlib import Path

import pytest

from rvc.contract import CleanUpRequest, ObjectKey, encode
from rvc.errors import InvalidConfiguration
from rvc.store import FolderStore, open_store
from rvc_trainer.clean_up import clean_up, main, read_request

ANN = ObjectKey("demo", "ann")
REQUEST = CleanUpRequest(ANN, "pvc://data/voices/demo/ann/")
MINE = (
    "voices/demo/ann/0123456789/checkpoints/batch-8/00000001.checkpoint",
    "voices/demo/ann/0123456789/voice.safetensors",
    "voices/demo/ann/aaaaaaaaaa/index.faiss",
    "voices/demo/ann/aaaaaaaaaa/manifest.json",
)
OTHERS = ("recordings/one.wav", "voices/demo/anna/0123456789/manifest.json", "voices/other/ann/manifest.json")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FolderStore:
    monkeypatch.setenv("RVC_CLAIMS_FOLDER", str(tmp_path))
    (tmp_path / "data").mkdir()
    store, _ = open_store("pvc://data/")
    for key in (*MINE, *OTHERS):
        store.write_bytes(key, b"content")
    return store


def keys(store: FolderStore) -> list[str]:
    return [found.key for found in store.list("")]


def test_all_of_a_voice_goes_and_nothing_beside_it(store: FolderStore) -> None:
    assert clean_up(REQUEST) == len(MINE)
    assert keys(store) == sorted(OTHERS)
    assert clean_up(REQUEST) == 0


def test_manifests_go_first(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    deleted: list[str] = []
    monkeypatch.setattr(FolderStore, "delete", lambda _self, key: deleted.append(key))
    clean_up(REQUEST)
    assert deleted[0] == MINE[-1]
    assert sorted(deleted) == sorted(MINE)


@pytest.mark.parametrize(
    "uri", ["pvc://data/", "pvc://data/voices/", "pvc://data/voices/demo/", "pvc://data/voices/demo/ann"]
)
def test_anything_but_the_folder_of_the_voice_is_refused(uri: str) -> None:
    with pytest.raises(InvalidConfiguration, match="nothing is removed"):
        read_request({"RVC_CLEAN_UP_REQUEST": encode(CleanUpRequest(ANN, uri))})


@pytest.mark.parametrize("text", ["", "{}", "[]"])
def test_a_request_of_another_release_is_refused(text: str) -> None:
    with pytest.raises(InvalidConfiguration, match="same release"):
        read_request({"RVC_CLEAN_UP_REQUEST": text})


def test_how_it_ended_is_said(store: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    message = tmp_path / "termination-log"
    monkeypatch.setenv("RVC_TERMINATION_MESSAGE_PATH", str(message))
    monkeypatch.setattr("rvc_trainer.clean_up.log_as_json", lambda _name: logging.getLogger())
    monkeypatch.setenv("RVC_CLEAN_UP_REQUEST", encode(REQUEST))
    assert main() == 0
    assert not message.exists()
    monkeypatch.setenv("RVC_CLEAN_UP_REQUEST", encode(CleanUpRequest(ANN, "pvc://gone/demo/ann/")))
    assert main() == 10
    assert b"ClaimNotMounted" in message.read_bytes()
