"""The server as a process, with a real voice: ready, converting, killed, going on."""

import json
import signal
from pathlib import Path

import httpx
import msgspec
import numpy as np
import pytest
import soundfile

from rvc.contract import ConversionState, ConversionStatus, VoiceReference, encode
from rvc.store import FolderStore
from rvc.voice import publish_voice
from tests.convert.conftest import base_models, voice
from tests.fixtures.programs import Program, eventually, flip_last_bit
from tests.fixtures.proofs import AsOperator
from tests.fixtures.sounds import voice_like
from tests.inference.servers import request
from tests.provenance.readers import by_pyav

__all__ = ["base_models", "voice"]

FILES = 24


@pytest.fixture
def served(voice, claim) -> VoiceReference:
    digest, _ = publish_voice(voice.folder, FolderStore(claim, "pvc://data/"), "voices/ann/")
    return VoiceReference("pvc://data/voices/ann/", digest, "0")


class ServerProcess(Program):
    """`python3 -m rvc_inference`."""

    def __init__(self, folder: Path, served: VoiceReference, base_models: Path, **more: str) -> None:
        environment = {
            "RVC_SERVED_VOICE": encode(served),
            "RVC_CLAIMS_FOLDER": str(folder / "claims"),
            "RVC_BASE_MODELS": str(base_models),
        }
        super().__init__("rvc_inference", folder, environment | more)
        port = self.logged_or_ended("server listens")["port"]
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, auth=AsOperator())

    def ready(self) -> None:
        """Wait until the server is."""
        eventually(lambda: self.client.get("/readyz").status_code == 200, "readiness")

    def status(self, uid: str) -> ConversionStatus:
        answer = self.client.get(f"/v1/conversions/{uid}")
        return msgspec.json.decode(answer.content, type=ConversionStatus)

    def finished(self, uid: str) -> ConversionStatus:
        """Wait for the end of a conversion, which must be a good one."""

        def look() -> ConversionStatus | None:
            status = self.status(uid)
            assert status.state is not ConversionState.FAILED, status
            return status if status.state is ConversionState.FINISHED else None

        return eventually(look, f"the end of {uid}")


def test_a_server_that_is_killed_in_a_batch_is_followed_by_one_that_ends_it(
    tmp_path, claim, served, base_models
):
    folder = claim / "in"
    folder.mkdir()
    frames = {}
    for number in range(FILES):
        sound = voice_like(4 + number / 10, 160 + 3 * number, 22050)
        soundfile.write(folder / f"{number:02}.wav", sound, 22050)
        frames[f"{number:02}.wav"] = round(len(sound) * 32000 / 22050)
    wanted = encode(request(prefix="pvc://data/in/", voice=served))
    records = claim / "out/_conversion/u1/results.jsonl"

    with ServerProcess(tmp_path, served, base_models) as first:
        first.ready()
        assert first.client.put("/v1/conversions/u1", content=wanted).status_code == 202
        eventually(records.exists, "a record of outcomes")
        first.process.send_signal(signal.SIGKILL)
        first.end()
    recorded = [json.loads(line)["output"] for line in records.read_text().splitlines()]
    whole = {path.name: path.stat().st_mtime_ns for path in (claim / "out").glob("[!.]*.wav")}
    assert recorded
    assert set(recorded) <= set(whole)
    assert len(whole) < FILES, "the batch was over before the kill; make it longer"
    for name in whole:
        assert soundfile.info(claim / "out" / name).frames == frames[name]

    with ServerProcess(tmp_path, served, base_models) as second:
        assert second.client.put("/v1/conversions/u1", content=wanted).status_code == 202
        assert second.finished("u1").files.succeeded == FILES
        second.process.send_signal(signal.SIGTERM)
        assert second.end() == 0
    for name, count in frames.items():
        sound, rate = soundfile.read(claim / "out" / name)
        assert (rate, len(sound)) == (32000, count)
        assert np.abs(sound).max() > 0.01
    for name in recorded:
        assert (claim / "out" / name).stat().st_mtime_ns == whole[name], "redone, though it was done"
    assert json.loads((records.parent / "results.json").read_text())["files"]["succeeded"] == FILES


def test_people_with_the_token_convert_directly(tmp_path, claim, served, base_models):
    (tmp_path / "token").write_text("correct horse battery staple")
    more = {"RVC_TOKEN_FILE": str(tmp_path / "token"), "RVC_CONTENT_PRODUCER": "Example Ltd"}
    sound = voice_like(1.5, 200, 22050)
    soundfile.write(tmp_path / "a.flac", sound, 22050)
    with ServerProcess(tmp_path, served, base_models, **more) as server:
        server.ready()
        answer = server.client.post(
            "/v1/convert?format=WAV&transposeSemitones=5",
            content=(tmp_path / "a.flac").read_bytes(),
            headers={"Authorization": "Bearer correct horse battery staple"},
            auth=None,
        )
        assert answer.status_code == 200, answer.text
        (tmp_path / "out.wav").write_bytes(answer.content)
        assert "correct horse" not in json.dumps(server.log())
    converted, rate = soundfile.read(tmp_path / "out.wav")
    assert (rate, len(converted)) == (32000, round(len(sound) * 32000 / 22050))
    assert np.abs(converted).max() > 0.01
    label = json.loads(by_pyav(tmp_path / "out.wav")["AIGC"])
    assert (label["Label"], label["ContentProducer"]) == ("1", "Example Ltd")


def test_a_damaged_voice_is_not_served(tmp_path, claim, served, base_models):
    flip_last_bit(claim / "voices/ann/voice.safetensors")
    with ServerProcess(tmp_path, served, base_models) as server:

        def refused() -> bool:
            return server.client.get("/readyz").json()["reason"] == "ArtifactCorrupt"

        eventually(refused, "the verdict")
        assert "voice.safetensors" in server.client.get("/readyz").json()["message"]
        soundfile.write(claim / "a.wav", voice_like(1, 200), 16000)
        wanted = encode(request(object="pvc://data/a.wav", voice=served))
        server.client.put("/v1/conversions/u1", content=wanted)

        def failed() -> bool:
            return server.status("u1").state is ConversionState.FAILED

        eventually(failed, "the end")
        assert server.status("u1").reason == "ArtifactCorrupt"
