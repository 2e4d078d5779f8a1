import numpy as np
import pytest

from rvc.audio import SpooledAudio, load_audio
from rvc.errors import InvalidAudio
from tests.audio.files import noise, write


def test_samples_are_those_of_the_recording_at_16_kilohertz(tmp_path):
    path = write(tmp_path / "a.wav", noise(100_001, 2), 44100)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with SpooledAudio.open(path, scratch) as audio:
        np.testing.assert_array_equal(audio.samples, load_audio(path, 16000))
        assert (audio.source_frames, audio.source_rate_hertz) == (100_001, 44100)
        assert audio.output_frames(44100) == 100_001
        assert audio.output_frames(40000) == round(100_001 * 40000 / 44100)
        assert len(list(scratch.iterdir())) == 1
    assert list(scratch.iterdir()) == []


def test_a_refused_recording_leaves_nothing(tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    silent = write(tmp_path / "silent.wav", np.zeros(200_000, np.float32))
    with pytest.raises(InvalidAudio):
        SpooledAudio.open(silent, scratch)
    assert list(scratch.iterdir()) == []
