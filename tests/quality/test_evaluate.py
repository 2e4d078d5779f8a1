import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from rvc.cli import main
from rvc.contract import ConversionParameters, ExitCode, PitchMethod
from rvc.convert import Converter
from rvc.errors import ObjectNotFound
from rvc.quality.evaluate import Evaluation, Instruments, Measured, Sample, Target, evaluate
from rvc.quality.speaker import load_speaker_encoder
from rvc.voice import Voice
from tests.fixtures.programs import REPOSITORY
from tests.fixtures.sounds import voice_like


def melody(seconds: float, low: float) -> np.ndarray:
    time = np.arange(int(seconds * 16000)) / 16000
    return voice_like(seconds, low * (1.2 + 0.2 * np.sin(2 * np.pi * 0.5 * time)))


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    folder = tmp_path / "recordings"
    folder.mkdir()
    for name, low in (("a", 110.0), ("b", 140.0)):
        soundfile.write(folder / f"{name}.wav", melody(2.0, low), 16000)
    (folder / "c.wav").write_bytes(b"RIFF")
    return folder


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "target"
    folder.mkdir()
    soundfile.write(folder / "t.flac", melody(2.0, 200.0), 32000)
    return folder


@pytest.fixture
def instruments(converter: Converter, base_models: Path) -> Instruments:
    speaker = load_speaker_encoder(base_models)
    return Instruments(converter.pitch_extractor(PitchMethod.AUTO), speaker, dnsmos=None, recogniser=None)


def test_what_can_be_measured_is_and_the_rest_is_named(
    converter: Converter, recordings: Path, target: Path, instruments: Instruments
) -> None:
    samples = [Sample(path) for path in sorted(recordings.iterdir())]
    parameters = ConversionParameters(transpose_semitones=4)
    done: list[int] = []
    found = evaluate(
        converter, samples, list(target.iterdir()), parameters, instruments, on_sample=done.append
    )
    assert done == [1, 2, 3]
    means = found.means
    assert set(means) == {
        "durationRatio", "f0Correlation", "grossPitchErrorShare", "voicingErrorShare", "transposedSemitones",
        "similarityToSource", "similarityToTarget", "sourceSimilarityToTarget",
        "toplineSimilarityToSource", "toplineSimilarityToTarget",
    }  # fmt: skip
    assert means["durationRatio"] == pytest.approx(1, abs=1e-3)
    assert means["f0Correlation"] > 0.95
    assert means["transposedSemitones"] == pytest.approx(4, abs=0.2)
    assert [one.reason for one in found.recordings] == ["", "", "AudioUndecodable"]
    assert [line.split(":")[0] for line in found.not_measured] == ["DNSMOS", "word and character errors"]


def test_the_topline_is_what_the_speakers_own_recordings_come_to() -> None:
    target = Target(np.array([[1.0, 0.0], [0.6, 0.8]], np.float32))
    assert target.mean == pytest.approx([2 / 5**0.5, 1 / 5**0.5])
    figures = target.figures(np.array([0.0, 1.0], np.float32))
    assert figures["toplineSimilarityToTarget"] == pytest.approx(2 / 5**0.5)
    assert figures["toplineSimilarityToSource"] == pytest.approx(0.4)


def test_own_recordings_are_compared_with_what_the_voice_makes_of_them(
    converter: Converter, target: Path, instruments: Instruments, tmp_path: Path
) -> None:
    own = list(target.iterdir())
    found = evaluate(converter, [Sample(own[0])], own, ConversionParameters(), instruments, keep=tmp_path)
    assert found.means["melDistanceDecibels"] > 0
    assert found.means["melCepstralDistortionDecibels"] > 0
    assert (tmp_path / "001-t.wav").is_file()


def test_means_are_over_the_recordings_that_have_the_figure() -> None:
    one, other, none = Measured("a", {"x": 1.0, "y": 4.0}), Measured("b", {"x": 2.0}), Measured("c", {}, "R")
    assert Evaluation((one, other, none), ()).means == {"x": 1.5, "y": 4.0}


def test_without_recordings_there_is_nothing_to_say(converter: Converter, instruments: Instruments) -> None:
    with pytest.raises(ObjectNotFound):
        evaluate(converter, [], [], ConversionParameters(), instruments)


def test_the_command_prints_the_means(
    voice: Voice, recordings: Path, target: Path, base_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: str | Path) -> int:
        return main(["evaluate", str(voice.folder), *map(str, arguments), "--base-models", str(base_models)])

    assert run(recordings, "--target", target, "--json") == ExitCode.DONE
    printed = json.loads(capsys.readouterr().out)
    assert printed["means"]["similarityToTarget"] < 1
    assert [one["recording"] for one in printed["recordings"]] == ["a.wav", "b.wav", "c.wav"]
    assert run("--target", target) == ExitCode.DONE
    assert "melDistanceDecibels" in capsys.readouterr().out
    assert run() == ExitCode.CONFIGURATION_INVALID
    assert run(recordings / "c.wav") == ExitCode.DATASET_INVALID


def test_every_figure_is_explained(converter: Converter, target: Path, instruments: Instruments) -> None:
    own = list(target.iterdir())
    found = evaluate(converter, [Sample(own[0])], own, ConversionParameters(), instruments)
    explained = (REPOSITORY / "docs" / "quality.md").read_text()
    assert [name for name in found.means if f"`{name}`" not in explained] == []
