"""A spoken prompt of the user's own: fetched once, the same for all shards; what is wrong with it is said."""

import io
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile

from rvc.audio import load_audio
from rvc.contract import AudibleLabel, ConversionRequest, ConversionState, Shard
from rvc.convert import Converter
from rvc.provenance.audible import PAUSE_SECONDS
from tests.convert.conftest import base_models, converter, voice
from tests.fixtures.sounds import voice_like
from tests.inference.servers import request, serving

__all__ = ["base_models", "converter", "voice"]

PROMPT_SECONDS = 1.2
URI = "pvc://data/notices/spoken.mp3"


def wanted(uri: str = URI, label: AudibleLabel = AudibleLabel.START_AND_END) -> ConversionRequest:
    asked = request(prefix="pvc://data/in/")
    output = msgspec.structs.replace(asked.output, audible_label=label, audible_label_prompt=uri)
    return msgspec.structs.replace(asked, output=output)


def write_prompt(
    claim: Path, seconds: float = PROMPT_SECONDS, format: str = "MP3", hertz: float = 300
) -> Path:
    path = claim / "notices" / f"spoken.{format.lower()}"
    path.parent.mkdir(exist_ok=True)
    sound = np.stack([voice_like(seconds, hertz, 44100)] * 2, axis=1)
    file = io.BytesIO()
    soundfile.write(file, sound, 44100, format=format)
    path.write_bytes(file.getvalue())
    return path


@pytest.mark.parametrize("format", ["MP3", "FLAC", "OGG", "WAV"])
def test_the_prompt_is_heard_before_and_after_and_changes_nothing_between(
    converter: Converter, claim, tmp_path, format
):
    (claim / "in").mkdir()
    soundfile.write(claim / "in/a.wav", voice_like(1.1, 200), 16000)
    prompt = write_prompt(claim, format=format)
    with serving(lambda *_: converter, tmp_path / "scratch") as server:
        server.put("u1", wanted(f"pvc://data/notices/{prompt.name}"))
        assert server.ended("u1").files.succeeded == 1
        labelled, rate = soundfile.read(claim / "out/a.wav", dtype="int16")
        plain = msgspec.structs.replace(wanted(), output=request(output="pvc://data/plain/").output)
        server.put("u2", plain)
        server.ended("u2")
    sound, _ = soundfile.read(claim / "plain/a.wav", dtype="int16")
    spoken = load_audio(prompt, rate)
    notice = len(spoken) + round(PAUSE_SECONDS * rate)
    assert abs(len(spoken) - PROMPT_SECONDS * rate) < 0.1 * rate
    assert len(labelled) == len(sound) + 2 * notice, "as long as the recording, to the sample"
    assert np.array_equal(labelled[notice:-notice], sound)
    heard = labelled[: len(spoken)] / 32768
    assert np.abs(heard - spoken).max() < 2 / 32768
    assert np.array_equal(labelled[: len(spoken)], labelled[-len(spoken) :])


def test_all_shards_have_the_prompt_that_was_there_first(server, copier, claim, batch):
    copier.gate.set()
    prompt = write_prompt(claim)
    server.put("u1", msgspec.structs.replace(wanted(), shard=Shard(0, 2)))
    server.ended("u1")
    prompt.unlink()
    server.put("u1", msgspec.structs.replace(wanted(), shard=Shard(1, 2)))
    assert server.ended("u1", 1).state is ConversionState.FINISHED
    assert (claim / "out/_conversion/u1/results.json").exists()


def test_another_prompt_is_another_output(server, copier, claim, batch):
    copier.gate.set()
    for uid, hertz in (("u1", 300), ("u2", 300), ("u3", 400)):
        write_prompt(claim, hertz=hertz)
        server.put(uid, wanted())
        server.ended(uid)
    assert server.worker.files["Succeeded"] == 6, "the second conversion found all done, the third nothing"


def test_nothing_of_the_prompt_stays_in_the_server(server, copier, claim, batch, tmp_path):
    copier.gate.set()
    write_prompt(claim)
    server.put("u1", wanted())
    server.ended("u1")
    assert [path for path in (tmp_path / "scratch").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda claim: None, "it is not there"),
        (lambda claim: write_prompt(claim, 11), "it is longer"),
        (lambda claim: write_prompt(claim).write_text("I am not a recording\n" * 100), "spoken.mp3"),
        (lambda claim: write_prompt(claim).write_bytes(b""), "spoken.mp3"),
        (lambda claim: write_prompt(claim).write_bytes(bytes(17 << 20)), "17825792 bytes"),
    ],
)
def test_what_is_wrong_with_a_prompt_is_said_and_nothing_is_converted(
    server, copier, claim, batch, make, words
):
    copier.gate.set()
    make(claim)
    server.put("u1", wanted())
    status = server.ended("u1")
    assert (status.state, status.reason, status.retriable) == (
        ConversionState.FAILED,
        "ConfigurationInvalid",
        False,
    )
    assert words in status.message
    assert URI in status.message
    assert str(claim) not in status.message
    assert list((claim / "out").glob("*.wav")) == []


def test_a_prompt_on_a_claim_that_is_not_mounted_is_said(server, batch):
    server.put("u1", wanted("pvc://elsewhere/spoken.wav"))
    status = server.ended("u1")
    assert (status.reason, status.retriable) == ("ConfigurationInvalid", False)
    assert "elsewhere" in status.message
