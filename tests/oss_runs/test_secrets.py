"""What a trainer and a server tell, in trouble and when all is well: never the secret of their access key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest
import soundfile

from rvc.contract import (
    ConversionState,
    ConversionStatus,
    ExitCode,
    ImportSource,
    StoreSettings,
    VoiceReference,
    encode,
)
from rvc.voice import publish_voice
from tests.community.models import write_pth
from tests.convert.conftest import base_models, voice
from tests.fixtures.programs import Program, eventually
from tests.fixtures.proofs import AsOperator
from tests.fixtures.sounds import voice_like
from tests.inference.servers import request as conversion_request
from tests.oss import KEY_ID, KEY_SECRET, REGION, OssServer
from tests.store.support import SimulatedTime, open_oss
from tests.trainer.recordings import request as training_request

__all__ = ["base_models", "voice"]

WRONG_SECRET = "wrong-secret-that-nobody-may-see"
ENDED = (ConversionState.FINISHED, ConversionState.FAILED)


@pytest.fixture
def oss(tmp_path) -> Iterator[OssServer]:
    (tmp_path / "bucket").mkdir()
    with OssServer(folder=tmp_path / "bucket") as oss:
        yield oss


@pytest.fixture
def settings(oss) -> StoreSettings:
    return StoreSettings(endpoint=oss.endpoint, region=REGION)


class Pod(Program):
    """A program of ours with a Secret beside it; `folder` has its log and whatever it writes."""

    def __init__(self, folder: Path, module: str, secret: str, environment: dict[str, str]) -> None:
        self._folder = folder
        self._answers: list[bytes] = []
        self._secret = folder.with_name(f"{folder.name}-secret")
        self._secret.mkdir(exist_ok=True)
        (self._secret / "akId").write_text(KEY_ID)
        self.rotate(secret)
        mounted = {"RVC_OSS_SECRET_FOLDER": str(self._secret)}
        super().__init__(module, folder, environment | mounted)

    def rotate(self, secret: str) -> None:
        (self._secret / "akSecret").write_text(secret)

    def ask(self, port: int, path: str) -> httpx.Response:
        answer = httpx.get(f"http://127.0.0.1:{port}{path}", timeout=60, auth=AsOperator())
        self._answers.append(answer.content)
        return answer

    def require_silence(self) -> None:
        """No secret in files, log and answers; nor, while it runs, in its arguments and its environment."""
        told: dict[object, bytes] = dict(enumerate(self._answers))
        told |= {path: path.read_bytes() for path in self._folder.rglob("*") if path.is_file()}
        if self.process.poll() is None:
            process = Path("/proc", str(self.process.pid))
            told |= {name: (process / name).read_bytes() for name in ("cmdline", "environ")}
        assert any(b"oss://voices/" in text for text in told.values()), "it does tell something"
        for where, text in told.items():
            assert WRONG_SECRET.encode() not in text, where
            assert KEY_SECRET.encode() not in text, where


def test_a_trainer_never_tells(oss, settings, tmp_path):
    write_pth(tmp_path / "ann.pth")
    open_oss(oss, SimulatedTime()).upload(tmp_path / "ann.pth", "downloads/ann.pth")
    asked = training_request(
        dataset_uri="",
        artifact_uri="oss://voices/models/ann/1/",
        import_=ImportSource(model_uri="oss://voices/downloads/ann.pth"),
        store=settings,
    )
    message = tmp_path / "pod" / "termination-log"
    environment = {"RVC_TRAINING_REQUEST": encode(asked), "RVC_TERMINATION_MESSAGE_PATH": str(message)}
    for secret, code in ((WRONG_SECRET, ExitCode.PERMISSION_DENIED), (KEY_SECRET, ExitCode.DONE)):
        with Pod(tmp_path / "pod", "rvc_trainer", secret, environment) as trainer:
            trainer.logged_or_ended("attempt begins")
            trainer.require_silence()
            assert trainer.end() == code
            assert ("SignatureDoesNotMatch" in message.read_text()) == (secret == WRONG_SECRET)
            trainer.require_silence()
    published = [path.read_bytes() for path in (tmp_path / "bucket").rglob("*") if path.is_file()]
    assert any(b"demo/ann" in content for content in published)
    assert not any(KEY_SECRET.encode() in content for content in published)


def test_a_server_never_tells(oss, settings, tmp_path, voice, base_models):
    store = open_oss(oss, SimulatedTime())
    digest, _ = publish_voice(voice.folder, store, "models/ann/1/")
    soundfile.write(tmp_path / "a.wav", voice_like(1, 200), 16000)
    store.upload(tmp_path / "a.wav", "in/a.wav")
    served = VoiceReference("oss://voices/models/ann/1/", digest, "0", store=settings)
    asked = conversion_request(prefix="oss://voices/in/", output="oss://voices/out/", voice=served)
    environment = {"RVC_SERVED_VOICE": encode(served), "RVC_BASE_MODELS": str(base_models)}
    with Pod(tmp_path / "pod", "rvc_inference", WRONG_SECRET, environment) as server:
        port = server.logged_or_ended("server listens")["port"]
        address = f"http://127.0.0.1:{port}/v1/conversions/u1"

        def converted() -> ConversionStatus:
            httpx.put(address, content=encode(asked), timeout=60, auth=AsOperator()).raise_for_status()

            def look() -> ConversionStatus | None:
                answer = server.ask(port, "/v1/conversions/u1")
                status = msgspec.json.decode(answer.content, type=ConversionStatus)
                return status if status.state in ENDED else None

            return eventually(look, "the end of the conversion")

        def unready() -> bool:
            return server.ask(port, "/readyz").json()["reason"] == "PermissionDenied"

        eventually(unready, "the verdict on the key")
        refused = converted()
        assert "SignatureDoesNotMatch" in refused.message
        server.require_silence()

        server.rotate(KEY_SECRET)
        done = converted()
        assert (done.state, done.files.succeeded) == (ConversionState.FINISHED, 1), done
        server.ask(port, "/metrics")
        server.require_silence()
    assert not any(
        KEY_SECRET.encode() in path.read_bytes()
        for path in (tmp_path / "bucket").rglob("*")
        if path.is_file()
    )
