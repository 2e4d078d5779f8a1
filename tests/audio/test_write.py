import os
import subprocess

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rvc.audio import AudioWriter, encodable_rate_hertz, open_audio
from rvc.contract import AudioFormat
from rvc.errors import InvalidAudio, InvalidConfiguration, StoreUnavailable
from tests.audio.files import noise


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 40000), min_size=1, max_size=4).filter(any),
    rate=st.sampled_from([16000, 32000, 40000, 48000]),
    audio_format=st.sampled_from(AudioFormat),
)
def test_files_have_the_frames_that_were_written(tmp_path, sizes, rate, audio_format):
    path = tmp_path / "out"
    rate = encodable_rate_hertz(audio_format, rate)
    with AudioWriter(path, rate, audio_format) as writer:
        for size in sizes:
            writer.write(noise(size))
    with open_audio(path) as reader:
        assert reader.sample_rate_hertz == rate
        assert sum(map(len, reader.blocks())) == sum(sizes) == writer.frames
    assert [file.name for file in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("audio_format", [AudioFormat.WAV, AudioFormat.FLAC])
def test_samples_have_16_bits_and_are_clipped(tmp_path, audio_format):
    with AudioWriter(tmp_path / "out", 40000, audio_format) as writer:
        writer.write(np.array([0.0, 0.25, -1.5, 1.5, 1e30], np.float32))
    assert soundfile.info(tmp_path / "out").subtype == "PCM_16"
    written, _ = soundfile.read(tmp_path / "out")
    np.testing.assert_allclose(written, [0, 0.25, -1, 1, 1], atol=1 / 32000)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_refused_and_leaves_nothing(tmp_path, value):
    def write() -> None:
        with AudioWriter(tmp_path / "out.wav", 40000, AudioFormat.WAV, name="letters/1.m4a") as writer:
            writer.write(noise(1000))
            writer.write(np.array([0.0, value], np.float32))

    with pytest.raises(InvalidAudio, match=r"letters/1\.m4a: .* not numbers") as caught:
        write()
    assert caught.value.reason == "OutputNotFinite"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a small volume")
@pytest.mark.parametrize("audio_format", AudioFormat)
def test_a_full_disk_is_said_and_nothing_is_left(tmp_path, audio_format):
    def write() -> None:
        with AudioWriter(tmp_path / "out", 16000, audio_format) as writer:
            for _ in range(100):
                writer.write(noise(16000))

    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", tmp_path], check=True)
    try:
        with pytest.raises(StoreUnavailable, match="the disk may be full"):
            write()
        assert list(tmp_path.iterdir()) == []
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_a_failure_keeps_the_file_that_was_there(tmp_path):
    path = tmp_path / "out.wav"
    path.write_bytes(b"earlier")

    def fail() -> None:
        with AudioWriter(path, 40000, AudioFormat.WAV) as writer:
            writer.write(noise(1000))
            raise KeyError("the conversion fails")

    with pytest.raises(KeyError):
        fail()
    assert path.read_bytes() == b"earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_mp3_has_nine_rates(tmp_path):
    assert encodable_rate_hertz(AudioFormat.MP3, 40000) == 44100
    assert encodable_rate_hertz(AudioFormat.MP3, 192000) == 48000
    assert encodable_rate_hertz(AudioFormat.OGG, 40000) == 40000
    with pytest.raises(InvalidConfiguration, match="44100"):
        AudioWriter(tmp_path / "out.mp3", 40000, AudioFormat.MP3)
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_cannot_be_taken_leaves_nothing_behind(tmp_path):
    (tmp_path / "out.wav").mkdir()
    writer = AudioWriter(tmp_path / "out.wav", 40000, AudioFormat.WAV)
    writer.write(noise(1000))
    with pytest.raises(IsADirectoryError):
        writer.close()
    assert [path.name for path in tmp_path.iterdir()] == ["out.wav"]
