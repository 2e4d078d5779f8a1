"""`rvc train` and `rvc inspect` as a person runs them."""

import json
from pathlib import Path

import pytest

from rvc.cli import main
from tests.train.recordings import write_bad_recordings, write_recordings


def test_inspect_says_what_recordings_are_good_for(
    tmp_path: Path, base_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_bad_recordings(write_recordings(tmp_path / "data"))
    assert main(["inspect", str(data), "--base-models", str(base_models), "--pitch-method", "fcpe"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[-2:] == ["F0", "recording"]
    assert [line.split()[-1] for line in lines[1:4]] == ["a.wav", "b.flac", "more/c.wav"]
    assert lines[4].startswith("0.2 minutes of speech from 3 recordings")
    assert sum(line.startswith("recording not used") for line in lines) == 3
    assert any("minutes of speech are little" in line for line in lines)


def test_inspect_in_json_keeps_speakers_apart(
    tmp_path: Path, base_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("ann", "bob"):
        write_recordings(tmp_path / "data" / name, seconds=2.0)
    arguments = ["--multi-speaker", "--json", "--base-models", str(base_models), "--pitch-method", "fcpe"]
    assert main(["inspect", str(tmp_path / "data"), *arguments]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["speakers"] == ["ann", "bob"]
    assert [recording["speaker"] for recording in report["recordings"]] == ["ann"] * 3 + ["bob"] * 3


def test_a_dataset_that_does_not_exist_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(tmp_path / "nowhere")]) == 10
    assert "nowhere does not exist" in capsys.readouterr().err
