"""The audible label: what is heard before and after the sound, and that the sound is as it was."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from rvc.contract import AudibleLabel
from rvc.errors import InvalidAudio
from rvc.provenance import Provenance, between_notices
from rvc.provenance.audible import PAUSE_SECONDS, notice, rhythm

SOUND = np.linspace(-0.5, 0.5, 1000, dtype=np.float32)


def heard(provenance: Provenance, rate: int = 16000) -> np.ndarray:
    return np.concatenate(list(between_notices([SOUND[:300], SOUND[300:]], provenance, rate)))


@pytest.mark.parametrize("rate", [8000, 32000, 44100, 48000])
def test_the_rhythm_is_short_long_short_short(rate: int) -> None:
    tone = rhythm(rate)
    window = rate // 100
    level = np.sqrt(np.convolve(tone**2, np.ones(window) / window, mode="same"))
    sounding = level > 0.05
    edges = np.flatnonzero(np.diff(np.concatenate([[0], sounding.astype(int), [0]])))
    units = np.diff(edges) / rate / 0.12
    np.testing.assert_allclose(units, [1, 1, 3, 3, 1, 1, 1], atol=0.2)


def test_the_tone_is_of_moderate_level_and_does_not_click() -> None:
    tone = rhythm(48000)
    assert 0.1 < np.abs(tone).max() <= 0.25
    spectrum = np.abs(np.fft.rfft(tone)) ** 2
    hertz = np.fft.rfftfreq(len(tone), 1 / 48000)
    assert abs(hertz[spectrum.argmax()] - 800) < 5
    assert spectrum[np.abs(hertz - 800) > 300].sum() < 1e-4 * spectrum.sum()


@pytest.mark.parametrize("mode", AudibleLabel)
def test_the_sound_is_between(mode: AudibleLabel) -> None:
    all_of_it = heard(Provenance(audible=mode))
    extra = len(rhythm(16000)) + round(PAUSE_SECONDS * 16000)
    before, after = {
        AudibleLabel.NONE: (0, 0),
        AudibleLabel.START: (extra, 0),
        AudibleLabel.START_AND_END: (extra, extra),
    }[mode]
    assert len(all_of_it) == before + len(SOUND) + after
    assert np.array_equal(all_of_it[before : before + len(SOUND)], SOUND)
    if before:
        assert np.array_equal(all_of_it[: len(rhythm(16000))], rhythm(16000))
    if after:
        assert np.array_equal(all_of_it[-len(rhythm(16000)) :], rhythm(16000))


@pytest.mark.parametrize("rate", [8000, 22050, 48000])
def test_a_prompt_is_heard_instead_at_the_rate_of_the_sound(tmp_path: Path, rate: int) -> None:
    time = np.arange(22050) / 22050
    stereo = 0.3 * np.stack([np.sin(2 * np.pi * 440 * time)] * 2, axis=1)
    soundfile.write(tmp_path / "prompt.flac", stereo, 22050)
    said = Provenance(audible=AudibleLabel.START, prompt=tmp_path / "prompt.flac")
    spoken = notice(said, rate)
    assert len(spoken) == rate
    assert np.fft.rfftfreq(rate, 1 / rate)[np.abs(np.fft.rfft(spoken)).argmax()] == pytest.approx(440, abs=2)
    assert np.array_equal(heard(said, rate)[:rate], spoken)


def test_a_prompt_that_is_no_recording_is_named(tmp_path: Path) -> None:
    (tmp_path / "prompt.wav").write_text("say that I am no person")
    with pytest.raises(InvalidAudio, match=r"prompt\.wav"):
        heard(Provenance(audible=AudibleLabel.START, prompt=tmp_path / "prompt.wav"))
