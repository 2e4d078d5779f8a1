"""From objects of the cluster to labels: those of a Conversion's outputs, the consent in a manifest."""

import json
from pathlib import Path

import msgspec
import pytest
import soundfile

from rvc.contract import TRAINING_REQUEST_VARIABLE, ConversionState, ObjectKey
from rvc.convert import Converter
from rvc.provenance import produce_id
from rvc.provenance.audible import PAUSE_SECONDS, rhythm
from rvc.voice import Voice, decode_manifest
from rvc_operator.api.voicemodel import VoiceModel
from rvc_operator.build.job import training_job
from rvc_operator.config import load_config
from rvc_operator.plan.conversion import plan_conversion
from rvc_operator.plan.observed import ObservedConversion
from tests.community.models import write_index, write_pth
from tests.fixtures.programs import Program
from tests.fixtures.sounds import voice_like
from tests.inference.servers import serving
from tests.operator import factory
from tests.operator.manifests import conversion_spec, voice_spec
from tests.operator.test_conversion_plan import REVISION, available
from tests.provenance.readers import by_ffprobe

PRODUCER = "Ann's studio"
CONFIG = load_config(
    {"RVC_TRAINER_IMAGE": "trainer:1", "RVC_SERVER_IMAGE": "server:1", "RVC_CONTENT_PRODUCER": PRODUCER}
)


@pytest.fixture
def claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RVC_CLAIMS_FOLDER", str(tmp_path / "claims"))
    claim = tmp_path / "claims" / "voices"
    claim.mkdir(parents=True)
    return claim


def test_the_outputs_of_a_conversion_are_labelled(
    converter: Converter, voice: Voice, claim: Path, tmp_path: Path
) -> None:
    (claim / "inbox/deep").mkdir(parents=True)
    for name, f0 in (("a.wav", 150), ("deep/a.wav", 200)):
        soundfile.write(claim / "inbox" / name, voice_like(1.0, f0, 16000), 16000)
    output = {"prefix": "pvc://voices/out/", "format": "MP3", "audibleLabel": "StartAndEnd"}
    body = factory.conversion(conversion_spec(input={"prefix": "pvc://voices/inbox/"}, output=output))
    observed = ObservedConversion(
        body,
        voice=available(),
        deployment=factory.deployment(REVISION, 1),
        servers=(factory.server("a", REVISION),),
    )
    [(_, request)] = plan_conversion(observed, CONFIG, factory.NOW).start
    with serving(lambda *asked: converter, tmp_path / "scratch") as server:
        server.put("u1", request)
        status = server.ended("u1")
    assert (status.state, status.files.succeeded) == (ConversionState.FINISHED, 2), status
    for name in ("a", "deep/a"):
        path = claim / "out" / f"{name}.mp3"
        label = json.loads(by_ffprobe(path)["AIGC"])
        assert label["Label"] == "1"
        assert label["ContentProducer"] == PRODUCER
        assert label["ProduceID"] == produce_id("test/hello/u1", f"{name}.wav", voice.digest)
        info = soundfile.info(path)
        notice = len(rhythm(info.samplerate)) + round(PAUSE_SECONDS * info.samplerate)
        assert info.frames == 2 * notice + info.samplerate


def test_the_consent_of_a_voice_is_in_its_manifest(claim: Path, tmp_path: Path) -> None:
    write_pth(claim / "ann.pth")
    write_index(claim / "ann.index")
    spec = voice_spec(consent={"statement": "I agree.", "reference": "contract 7"})
    del spec["dataset"], spec["training"]
    spec["import"] = {"modelUri": "pvc://voices/ann.pth", "indexUri": "pvc://voices/ann.index"}
    voice = VoiceModel.from_object(factory.voice(spec))
    job = training_job(voice, CONFIG, "0123456789", 1)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    told = {one["name"]: one["value"] for one in container["env"] if "value" in one}
    message = tmp_path / "termination-log"
    environment = {
        TRAINING_REQUEST_VARIABLE: told[TRAINING_REQUEST_VARIABLE],
        "RVC_CLAIMS_FOLDER": str(tmp_path / "claims"),
        "RVC_TERMINATION_MESSAGE_PATH": str(message),
    }
    with Program("rvc_trainer", tmp_path, environment) as trainer:
        assert trainer.end() == 0, trainer.log()[-1]
    published = claim / "models/test/alice/0123456789/manifest.json"
    consent = decode_manifest(published.read_bytes(), str(published)).consent
    assert (consent.statement, consent.reference) == ("I agree.", "contract 7")


def test_what_is_not_said_of_the_producer_is_left_out_of_the_request() -> None:
    """Servers of the release before, which know no producer, go on to understand the operator."""
    observed = ObservedConversion(
        factory.conversion(),
        voice=available(),
        deployment=factory.deployment(REVISION, 1),
        servers=(factory.server("a", REVISION),),
    )
    [(_, wanted)] = plan_conversion(observed, factory.CONFIG, factory.NOW).start
    assert wanted.conversion == ObjectKey("test", "hello")
    told = msgspec.to_builtins(wanted)
    assert set(told) <= {"conversion", "voice", "input", "output", "parameters"}
    assert set(told["output"]) == {"prefix"}
