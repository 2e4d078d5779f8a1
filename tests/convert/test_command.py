import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from rvc.cli import main
from rvc.contract import ExitCode
from rvc.voice import Voice
from tests.fixtures.sounds import voice_like


def test_a_folder_is_brought_to_the_pitch_of_the_voice(
    voice: Voice, base_models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, f0 in (("low", 100.0), ("high", 300.0)):
        (tmp_path / "in" / name).mkdir(parents=True)
        soundfile.write(tmp_path / "in" / name / "a.wav", voice_like(1.0, f0), 16000)
    arguments = [str(voice.folder), str(tmp_path / "in"), str(tmp_path / "out"), "--automatic-transpose"]
    options = ["--transpose", "-12", "--formant-shift", "300", "--base-models", str(base_models), "--json"]
    assert main(["convert", *arguments, *options]) == ExitCode.DONE
    converted = json.loads(capsys.readouterr().out)["converted"]
    assert {Path(one["output"]).parent.name: one["transpose_semitones"] for one in converted} == {
        "low": 12 - 12,
        "high": -7 - 12,
    }
    sound, rate = soundfile.read(tmp_path / "out" / "low" / "a.wav")
    assert len(sound) == rate
    assert np.abs(sound).max() > 0.01


def test_an_index_beside_a_voice_folder_is_refused(
    voice: Voice, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write(tmp_path / "a.wav", voice_like(0.2, 100.0), 16000)
    arguments = ["convert", str(voice.folder), str(tmp_path / "a.wav"), str(tmp_path / "b.wav")]
    assert main([*arguments, "--index", "x.index"]) == ExitCode.CONFIGURATION_INVALID
    assert "has its own" in capsys.readouterr().err
