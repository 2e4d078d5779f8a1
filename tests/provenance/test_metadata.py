"""The implicit label: read back by other programs, and nothing else of the file changed."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from rvc.audio import AudioWriter, encodable_rate_hertz, load_audio
from rvc.contract import AudioFormat, ConversionParameters
from rvc.errors import ObjectNotFound, StoreUnavailable
from rvc.provenance import implicit_label, produce_id, unnamed_origin, write_label
from tests.fixtures.sounds import voice_like
from tests.provenance.readers import READERS

LABEL = implicit_label('Ann\'s "studio", 语音', produce_id("demo/hello/u1", "a.wav", "sha256:0"))


def written(path: Path, audio_format: AudioFormat, label: str | None, seconds: float = 2.0) -> Path:
    rate = encodable_rate_hertz(audio_format, 40000)
    complete = (lambda file: write_label(file, audio_format, label)) if label else lambda file: None
    with AudioWriter(path, rate, audio_format, complete) as writer:
        writer.write(np.resize(voice_like(1.0, 200, rate), round(seconds * rate)).astype(np.float32))
    return path


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("audio_format", AudioFormat)
def test_others_read_it(tmp_path: Path, audio_format: AudioFormat, read: Callable[[Path], dict]) -> None:
    path = written(tmp_path / f"a.{audio_format.lower()}", audio_format, LABEL)
    assert json.loads(read(path)["AIGC"]) == {
        "Label": "1",
        "ContentProducer": 'Ann\'s "studio", 语音',
        "ProduceID": produce_id("demo/hello/u1", "a.wav", "sha256:0"),
        "ReservedCode1": "",
        "ContentPropagator": "",
        "PropagateID": "",
        "ReservedCode2": "",
    }


@pytest.mark.parametrize("audio_format", AudioFormat)
def test_no_sample_changes(tmp_path: Path, audio_format: AudioFormat) -> None:
    plain = written(tmp_path / "plain", audio_format, None)
    labelled = written(tmp_path / "labelled", audio_format, LABEL)
    before, rate = soundfile.read(plain, dtype="float32")
    assert np.abs(before).max() > 0.1
    assert np.array_equal(soundfile.read(labelled, dtype="float32")[0], before)
    assert np.array_equal(load_audio(labelled, rate), load_audio(plain, rate))


@pytest.mark.parametrize("seconds", [0.001, 2.0, 60.0])
@pytest.mark.parametrize("audio_format", AudioFormat)
def test_the_same_sound_and_label_are_the_same_bytes(
    tmp_path: Path, audio_format: AudioFormat, seconds: float
) -> None:
    first, second = (written(tmp_path / name, audio_format, LABEL, seconds) for name in ("1", "2"))
    assert first.read_bytes() == second.read_bytes()
    other = written(tmp_path / "3", audio_format, LABEL.replace("Ann", "Bob"), seconds)
    assert first.read_bytes() != other.read_bytes()


@pytest.mark.parametrize("audio_format", AudioFormat)
def test_a_file_has_its_name_only_when_it_is_labelled(tmp_path: Path, audio_format: AudioFormat) -> None:
    seen: list[list[str]] = []

    def complete(file: Path) -> None:
        write_label(file, audio_format, LABEL)
        seen.append([path.name for path in tmp_path.iterdir()])
        raise OSError("no space left")

    with (
        pytest.raises(OSError, match="no space"),
        AudioWriter(tmp_path / "out", 48000, audio_format, complete) as writer,
    ):
        writer.write(voice_like(0.5, 200, 48000).astype(np.float32))
    assert "out" not in seen[0]
    assert not list(tmp_path.iterdir())


def test_an_id_is_of_one_output() -> None:
    facts = [("demo/hello/u1", "a.wav", "sha256:0"), ("demo/hello/u2", "a.wav", "sha256:0")]
    facts += [("demo/hello/u1", "b.wav", "sha256:0"), ("demo/hello/u1", "a.wav", "sha256:1")]
    facts += [("demo/hello/u1a", ".wav", "sha256:0")]
    assert len({produce_id(*of) for of in facts * 2}) == len(facts)


@pytest.mark.parametrize("audio_format", AudioFormat)
def test_a_label_that_cannot_be_written_is_the_disks_fault(tmp_path: Path, audio_format: AudioFormat) -> None:
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere" / "at-all")
    with pytest.raises(StoreUnavailable, match="label of a file in"):
        write_label(tmp_path / "gone", audio_format, LABEL)


def test_conversions_without_a_name_differ_by_content_and_parameters(tmp_path: Path) -> None:
    for name, content in (("a", b"1"), ("same", b"1"), ("b", b"2")):
        (tmp_path / name).write_bytes(content)
    low, high = ConversionParameters(), ConversionParameters(transpose_semitones=12)
    of = [unnamed_origin(tmp_path / name, parameters) for name in ("a", "b") for parameters in (low, high)]
    assert len(set(of)) == 4
    assert unnamed_origin(tmp_path / "same", low) == of[0]
    with pytest.raises(ObjectNotFound, match="gone"):
        unnamed_origin(tmp_path / "gone", low)
