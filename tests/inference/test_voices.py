"""Voices in memory, and when a server is ready."""

import time

import msgspec
import pytest

from rvc.contract import VoiceReference
from rvc.errors import ArtifactCorrupt, StoreUnavailable
from rvc_inference.voices import KEPT_VOICES, Voices
from tests.fixtures.programs import eventually
from tests.inference.servers import VOICE, Copier, serving


def reference(number: int) -> VoiceReference:
    return msgspec.structs.replace(VOICE, manifest_digest=f"sha256:{number:064}")


@pytest.fixture
def loaded() -> list[VoiceReference]:
    return []


@pytest.fixture
def voices(loaded, tmp_path) -> Voices:
    def load(reference, folder, sleep):
        loaded.append(reference)
        (folder / "voice.safetensors").write_bytes(b"weights")
        return Copier()

    return Voices(load, tmp_path, served=reference(0))


def test_a_voice_is_loaded_once(voices, loaded):
    assert voices.get(reference(1), time.sleep) is voices.get(reference(1), time.sleep)
    assert loaded == [reference(1)]


def test_only_the_last_few_stay_but_always_the_served_one(voices, loaded, tmp_path):
    for number in range(6):
        voices.get(reference(number), time.sleep)
    voices.get(reference(0), time.sleep)
    voices.get(reference(5), time.sleep)
    assert loaded == [reference(number) for number in range(6)]
    voices.get(reference(1), time.sleep)
    assert loaded[-1] == reference(1)
    assert len(list(tmp_path.iterdir())) == KEPT_VOICES


def test_a_voice_that_does_not_load_leaves_nothing(tmp_path):
    def load(reference, folder, sleep):
        (folder / "voice.safetensors").write_bytes(b"half")
        raise ArtifactCorrupt("bad digest")

    voices = Voices(load, tmp_path, served=None)
    with pytest.raises(ArtifactCorrupt):
        voices.get(VOICE, time.sleep)
    assert list(tmp_path.iterdir()) == []


def test_a_server_without_a_voice_of_its_own_is_ready(claim, tmp_path):
    with serving(lambda *_: Copier(), tmp_path / "scratch") as server:
        eventually(lambda: server.client.get("/readyz").status_code == 200, "readiness")


def test_a_corrupt_voice_never_becomes_ready_and_says_why(tmp_path):
    def load(reference, folder, sleep):
        raise ArtifactCorrupt("index.faiss is not what its manifest says")

    with serving(load, tmp_path / "scratch", served=VOICE) as server:

        def refused() -> bool:
            return server.client.get("/readyz").json()["reason"] == "ArtifactCorrupt"

        eventually(refused, "the verdict")
        answer = server.client.get("/readyz")
        assert answer.status_code == 503
        assert "index.faiss" in answer.json()["message"]
        assert server.client.get("/healthz").status_code == 200


def test_a_store_that_comes_back_makes_the_server_ready(tmp_path):
    failures = [StoreUnavailable("no answer"), StoreUnavailable("no answer")]

    def load(reference, folder, sleep):
        if failures:
            raise failures.pop()
        return Copier()

    with serving(load, tmp_path / "scratch", served=VOICE) as server:
        first = server.client.get("/readyz")
        assert first.json()["reason"] in ("VoiceLoading", "StoreUnavailable")
        eventually(lambda: server.client.get("/readyz").status_code == 200, "readiness")
