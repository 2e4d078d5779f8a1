"""Odd files through the whole conversion: sound exactly as long as the recording, or a reason."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from rvc.audio import SpooledAudio, open_audio, output_frames
from rvc.contract import AudioFormat, ConversionParameters
from rvc.convert import Converter
from rvc.errors import InvalidAudio
from rvc.source import Hearing, Transposition, analyse
from tests.convert.attentive import RVC2
from tests.convert.test_source import FakeContent, FakePitch
from tests.odd_audio.cases import READ, Case, named

ODD = named(
    "1-samples.wav", "2-samples.flac", "161-samples.ogg", "320-samples.aiff", "401-samples.wav", "huge.wav",
    "denormal-and-one.wav", "direct-current.wav", "full-scale.wav", "impulse.wav", "clipped.wav",
    "whispered.wav", "nyquist.wav", "last-sample.wav", "1024-channels.wav", "384000-hertz.wav",
    "1000-hertz.wav", "ima_adpcm.wav", "really-m4a.txt", "tagged-twice.mp3", "streamed.wav",
)  # fmt: skip
REFUSED = named(
    "1-sample-of-1-megahertz.wav", "all-zero.wav", "infinite-right.wav", "cut-09-flac.flac", "picture.mp3",
    "hls.mp3", "random-0.m4a",
)  # fmt: skip
PLAIN = ConversionParameters()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("case", ODD, ids=lambda case: case.name)
def test_the_sound_is_as_long_as_the_recording(converter: Converter, tmp_path: Path, case: Case) -> None:
    assert READ in case.outcomes or not case.outcomes
    path = case.write(tmp_path)
    with open_audio(path) as reader:
        samples = sum(map(len, reader.blocks()))
        expected = output_frames(samples, reader.sample_rate_hertz, converter.sample_rate_hertz)
    report = converter.convert(path, tmp_path / "out.wav", PLAIN, AudioFormat.WAV, tmp_path)
    sound, _ = soundfile.read(tmp_path / "out.wav")
    assert len(sound) == report.frames == expected
    assert np.abs(sound).max(initial=0) <= 1


@pytest.mark.timeout(60)
@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_what_is_refused_leaves_nothing(converter: Converter, tmp_path: Path, case: Case) -> None:
    path = case.write(tmp_path)
    with pytest.raises(InvalidAudio) as raised:
        converter.convert(path, tmp_path / "out.wav", PLAIN, AudioFormat.WAV, tmp_path, name="letters/1")
    assert not case.outcomes or raised.value.reason in case.outcomes
    assert str(raised.value).startswith("letters/1: ")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.timeout(120)
def test_an_hour_is_analysed(tmp_path: Path) -> None:
    (case,) = named("hour.flac")
    hearing = Hearing(RVC2, padding_frames=100, transposition=Transposition(0), filter_radius=3)
    with SpooledAudio.open(case.write(tmp_path), tmp_path) as spool:
        source = analyse(spool, tmp_path, FakeContent(), FakePitch(), hearing)
    assert source.frames == 360_000
    assert len(source.content) == 180_100
