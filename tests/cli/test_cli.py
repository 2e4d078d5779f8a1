"""The command line as people use it: another process, its output and its exit code."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import soundfile

from rvc.cli import _parser, main
from rvc.cli_commands import _jobs
from rvc.contract import ExitCode
from rvc.convert import ConversionReport, Converter
from rvc.errors import InvalidConfiguration
from rvc.training.checkpoints import FolderCheckpoints
from tests.train.recordings import write_bad_recordings, write_recordings

QUICK = ("--epochs", "1", "--batch-size", "4", "--sample-rate", "16000", "--precision", "fp32")


def rvc(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rvc", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recordings(tmp_path_factory.mktemp("dataset"))


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory, dataset: Path, base_models: Path) -> Path:
    folder = tmp_path_factory.mktemp("voices") / "ann"
    done = rvc("train", dataset, folder, *QUICK, "--base-models", base_models)
    assert done.returncode == 0, done.stderr
    assert "\nann: Light at 16000 Hz, Small, FCPE\nlearnt from 0.2 minutes" in done.stdout
    assert "Training" in done.stderr
    return folder


def test_info_tells_what_a_voice_is(voice: Path) -> None:
    manifest = json.loads(rvc("info", voice, "--json").stdout)
    assert manifest["name"] == "ann"
    assert manifest["parameters"]["epochs"] == 1
    assert rvc("info", voice).stdout.startswith("ann: Light at 16000 Hz")


def test_a_damaged_voice_is_refused(voice: Path, tmp_path: Path) -> None:
    for name in ("manifest.json", "voice.safetensors", "dataset.json"):
        (tmp_path / name).write_bytes((voice / name).read_bytes())
    (tmp_path / "index.faiss").write_bytes(b"no index")
    done = rvc("info", tmp_path)
    assert done.returncode == ExitCode.CONFIGURATION_INVALID
    assert "index.faiss has 8 bytes" in done.stderr


def test_one_recording_is_converted(voice: Path, dataset: Path, tmp_path: Path) -> None:
    target = tmp_path / "spoken.flac"
    done = rvc("convert", voice, dataset / "a.wav", target, "--transpose", "3", "--json")
    assert done.returncode == 0, done.stderr
    (report,) = json.loads(done.stdout)["converted"]
    assert report["frames"] == soundfile.info(target).frames == soundfile.info(dataset / "a.wav").frames
    assert soundfile.info(target).format == "FLAC"
    assert done.stderr == ""


def test_a_source_much_lower_than_the_voice_is_told(voice: Path, dataset: Path, tmp_path: Path) -> None:
    low, near = (
        rvc("convert", voice, dataset / "a.wav", tmp_path / "x.wav", "--transpose", semitones)
        for semitones in (-12, 3)
    )
    assert "more semitones of --transpose" in low.stdout
    assert "semitones" not in near.stdout


def test_a_folder_is_converted_past_its_bad_files(voice: Path, dataset: Path, tmp_path: Path) -> None:
    source = write_bad_recordings(write_recordings(tmp_path / "in", seconds=1.0))
    done = rvc("convert", voice, source, tmp_path / "out", "--format", "ogg", "--json")
    assert done.returncode == ExitCode.DATASET_INVALID
    assert "3 of 6 recordings could not be converted" in done.stderr.splitlines()[-1]
    result = json.loads(done.stdout)
    assert [Path(one["output"]).name for one in result["converted"]] == ["a.ogg", "b.ogg", "c.ogg"]
    assert (tmp_path / "out" / "more" / "c.ogg").is_file()
    assert {Path(one["input"]).name: one["reason"] for one in result["failed"]} == {
        "empty.wav": "AudioEmpty",
        "silent.wav": "AudioSilent",
        "text.wav": "AudioUndecodable",
    }


def test_recordings_that_would_become_one_file_are_refused(voice: Path, tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    (tmp_path / "a.mp3").touch()
    done = rvc("convert", voice, tmp_path, tmp_path / "out")
    assert done.returncode == ExitCode.CONFIGURATION_INVALID
    assert "would both become" in done.stderr


def test_a_recording_that_goes_away_is_one_bad_file(
    voice: Path,
    base_models: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = write_recordings(tmp_path / "in", seconds=1.0)
    convert = Converter.convert

    def remove_first(converter: Converter, input: Path, *arguments: Any, **named: Any) -> ConversionReport:
        if input.name == "a.wav":
            input.unlink()
        return convert(converter, input, *arguments, **named)

    monkeypatch.setattr(Converter, "convert", remove_first)
    code = main(
        ["convert", *map(str, (voice, source, tmp_path / "out", "--base-models", base_models)), "--json"]
    )
    assert code == ExitCode.DATASET_INVALID
    result = json.loads(capsys.readouterr().out)
    assert [one["reason"] for one in result["failed"]] == ["ObjectNotFound"]
    assert len(result["converted"]) == 2


def jobs(*arguments: object) -> list[tuple[Path, Path]]:
    return _jobs(_parser().parse_args(["convert", "novoice", *map(str, arguments)]))


def test_of_a_folder_hidden_files_and_what_was_converted_earlier_are_left_out(tmp_path: Path) -> None:
    for name in ("a.wav", "._a.wav", ".trash/b.wav", "out/a.wav", "more/c.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.wav").mkdir()
    found = jobs(tmp_path, tmp_path / "out", "--format", "ogg")
    assert found == [
        (tmp_path / name, tmp_path / "out" / Path(name).with_suffix(".ogg"))
        for name in ("a.wav", "more/c.wav")
    ]
    assert len(jobs(tmp_path / "out", tmp_path, "--format", "ogg")) == 1


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("recs", "recs", "would be overwritten"),
        ("recs/a.wav", "recs/a.wav", "would be overwritten"),
        ("recs/a.wav", "link.wav", "would be overwritten"),
        ("recs/a.wav", "recs", "is a folder; name a file"),
        ("recs/a.wav", "recs/a.wav/x.wav", "is a file; name a folder"),
        ("recs", "link.wav", "is a file; name a folder"),
    ],
)
def test_outputs_that_cannot_be_are_refused_before_the_work(
    tmp_path: Path, source: str, target: str, message: str
) -> None:
    (tmp_path / "recs").mkdir()
    (tmp_path / "recs" / "a.wav").touch()
    (tmp_path / "link.wav").symlink_to("recs/a.wav")
    with pytest.raises(InvalidConfiguration, match=message):
        jobs(tmp_path / source, tmp_path / target)


def test_an_error_of_the_system_is_a_line_and_an_exit_code(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "voice").touch()
    done = rvc("train", dataset, tmp_path / "voice")
    assert done.returncode == ExitCode.CONFIGURATION_INVALID
    assert "a file has the name of this folder" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("train", "nowhere", "v"), ExitCode.DATASET_INVALID, "nowhere does not exist"),
        (("train", ".", "v", "--architecture", "wavenet"), ExitCode.CONFIGURATION_INVALID, "RVC2, Light"),
        (("train", ".", "v", "--epochs", "0"), ExitCode.CONFIGURATION_INVALID, "whole number of 1 or more"),
        (("convert", "novoice", ".", "out"), ExitCode.DATASET_INVALID, "no recordings in"),
        (("convert", "novoice", "a.wav", "out"), ExitCode.DATASET_INVALID, "a.wav does not exist"),
        (("convert", "v", ".", "out", "--protect", "70"), ExitCode.CONFIGURATION_INVALID, "protectPercent"),
        (("info", "novoice"), ExitCode.DATASET_INVALID, "novoice holds no voice"),
        ((), ExitCode.CONFIGURATION_INVALID, "COMMAND"),
    ],
)
def test_errors_are_a_line_and_an_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: ExitCode, message: str
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.getcwd())
    monkeypatch.chdir(tmp_path)
    done = rvc(*arguments)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_terminated_training_goes_on_where_it_stopped(
    dataset: Path, base_models: Path, tmp_path: Path
) -> None:
    options = ("--epochs", "200", "--batch-size", "2", "--sample-rate", "16000", "--base-models", base_models)
    arguments = ("train", dataset, tmp_path / "voice", *options)
    command = [sys.executable, "-m", "rvc", *map(str, arguments)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        seen = ""
        while "Training epoch" not in seen:
            character = process.stderr.read(1)
            assert character, seen
            seen += character
        process.send_signal(signal.SIGTERM)
        _, rest = process.communicate()
    assert process.returncode == ExitCode.TERMINATED
    assert "the next attempt goes on from there" in rest
    latest = FolderCheckpoints(tmp_path / "voice.work" / "checkpoints").latest()
    assert latest is not None
    assert not latest.name.startswith("epoch-00000000")
