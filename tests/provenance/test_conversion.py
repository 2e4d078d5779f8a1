"""Whole conversions, labelled: every format and every audible label, and nothing of the sound changed."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from rvc.cli import main
from rvc.contract import AudibleLabel, AudioFormat, ConversionParameters, ExitCode
from rvc.convert import Converter
from rvc.provenance import Provenance, produce_id
from rvc.provenance.audible import PAUSE_SECONDS, rhythm
from rvc.voice import Voice
from tests.fixtures.sounds import voice_like
from tests.provenance.readers import READERS, by_pyav

LOSSLESS = (AudioFormat.WAV, AudioFormat.FLAC)
SECONDS = 1.2345
START = ("--audible-label", "Start", "--label-prompt")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "hello.wav"
    path.parent.mkdir()
    soundfile.write(path, voice_like(SECONDS, 150.0, 22050), 22050)
    return path


def aigc(path: Path, read: Callable[[Path], dict] = by_pyav) -> dict[str, str]:
    return json.loads(read(path)["AIGC"])


@pytest.mark.parametrize("resample", [0, 44100])
@pytest.mark.parametrize("audible", AudibleLabel)
@pytest.mark.parametrize("audio_format", AudioFormat)
def test_every_format_with_every_label(
    converter: Converter,
    voice: Voice,
    tmp_path: Path,
    source: Path,
    audio_format: AudioFormat,
    audible: AudibleLabel,
    resample: int,
) -> None:
    parameters = ConversionParameters(resample_hertz=resample)
    said = Provenance("someone", "demo/hello/u1")
    plain, target = tmp_path / "plain", tmp_path / f"out.{audio_format.lower()}"
    converter.convert(source, plain, parameters, audio_format, tmp_path, provenance=said)
    report = converter.convert(
        source,
        target,
        parameters,
        audio_format,
        tmp_path,
        provenance=dataclasses.replace(said, audible=audible),
    )
    samples, rate = soundfile.read(target, dtype="float32")
    expected, _ = soundfile.read(plain, dtype="float32")
    label = len(rhythm(rate)) + round(PAUSE_SECONDS * rate)
    before = 0 if audible is AudibleLabel.NONE else label
    after = label if audible is AudibleLabel.START_AND_END else 0
    assert rate == (resample or 32000)
    assert len(expected) == report.frames == int(soundfile.info(source).frames * rate / 22050 + 0.5)
    assert report.seconds == pytest.approx(SECONDS, abs=1e-3)
    assert len(samples) == before + report.frames + after
    between = samples[before : before + report.frames]
    if audio_format in LOSSLESS:
        assert np.array_equal(between, expected)
    else:
        assert np.sqrt(np.mean((between - expected) ** 2)) < 0.2 * np.sqrt(np.mean(expected**2))
    for read in READERS:
        found = aigc(target, read)
        assert found["ContentProducer"] == "someone"
        assert found["ProduceID"] == produce_id("demo/hello/u1", "hello.wav", voice.digest)


@pytest.mark.parametrize("audio_format", AudioFormat)
def test_converting_again_gives_the_same_bytes(
    converter: Converter, tmp_path: Path, source: Path, audio_format: AudioFormat
) -> None:
    for name in ("one", "two"):
        converter.convert(source, tmp_path / name, ConversionParameters(), audio_format, tmp_path)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert aigc(tmp_path / "one")["ContentProducer"] == "rvc-operator"


def convert(voice: Voice, base_models: Path, source: Path, target: Path, *options: str) -> int:
    arguments = [str(voice.folder), str(source), str(target), "--base-models", str(base_models), "--json"]
    return main(["convert", *arguments, *options])


def test_the_command_labels_what_it_converts(
    voice: Voice, base_models: Path, tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soundfile.write(source.parent / "again.flac", *soundfile.read(source))
    monkeypatch.setenv("RVC_CONTENT_PRODUCER", "Ann")
    assert convert(voice, base_models, source.parent, tmp_path / "out", "--format", "MP3") == ExitCode.DONE
    labels = [aigc(tmp_path / "out" / name) for name in ("hello.mp3", "again.mp3")]
    assert [label["ContentProducer"] for label in labels] == ["Ann", "Ann"]
    assert len({label["ProduceID"] for label in labels}) == 2
    assert convert(voice, base_models, source, tmp_path / "hello.mp3") == ExitCode.DONE
    assert aigc(tmp_path / "hello.mp3")["ProduceID"] == labels[0]["ProduceID"]
    options = ("--producer", "Bob", "--transpose", "1")
    assert convert(voice, base_models, source, tmp_path / "hello.mp3", *options) == ExitCode.DONE
    other = aigc(tmp_path / "hello.mp3")
    assert other["ContentProducer"] == "Bob"
    assert other["ProduceID"] != labels[0]["ProduceID"]


def test_the_command_speaks_a_prompt(voice: Voice, base_models: Path, tmp_path: Path, source: Path) -> None:
    soundfile.write(tmp_path / "prompt.wav", 0.1 * voice_like(0.75, 220.0, 16000), 16000)
    options = ("--audible-label", "StartAndEnd", "--label-prompt", str(tmp_path / "prompt.wav"))
    assert convert(voice, base_models, source, tmp_path / "plain.wav") == ExitCode.DONE
    assert convert(voice, base_models, source, tmp_path / "out.wav", *options) == ExitCode.DONE
    samples, rate = soundfile.read(tmp_path / "out.wav")
    plain, _ = soundfile.read(tmp_path / "plain.wav")
    notice = round((0.75 + PAUSE_SECONDS) * rate)
    assert np.array_equal(samples[notice:-notice], plain)
    assert np.abs(samples[: round(0.75 * rate)]).max() > 0.01


@pytest.mark.parametrize(
    ("options", "said", "expected"),
    [
        (["--label-prompt", "prompt.wav"], "--audible-label", ExitCode.CONFIGURATION_INVALID),
        ([*START, "prompt.wav"], "prompt.wav", ExitCode.CONFIGURATION_INVALID),
        ([*START, "absent.wav"], "absent.wav", ExitCode.DATASET_INVALID),
    ],
)
def test_a_prompt_that_cannot_be_used_is_no_recordings_fault(
    voice: Voice,
    base_models: Path,
    tmp_path: Path,
    source: Path,
    options: list[str],
    said: str,
    expected: ExitCode,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("prompt.wav").write_text("I am no recording")
    code = convert(voice, base_models, source.parent, tmp_path / "out", *options)
    assert code == expected
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
