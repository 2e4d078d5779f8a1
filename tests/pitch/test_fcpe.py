import numpy as np
import pytest
import torch

from rvc.contract import PitchMethod
from rvc.pitch import PitchExtractor, load_pitch
from tests.fixtures.parity import parity_arrays
from tests.fixtures.sounds import voice_like

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def fcpe(base_models) -> PitchExtractor:
    return load_pitch(PitchMethod.FCPE, base_models, CPU)


def cents(found: np.ndarray, expected: np.ndarray | float) -> np.ndarray:
    return np.abs(1200 * np.log2(found / expected))


def test_f0_is_that_of_the_original(fcpe):
    expected = parity_arrays("f0_neural_real_weights.npz")["fcpe_f0"]
    found = fcpe(parity_arrays("f0_pm.npz")["wave"].astype(np.float32))
    assert len(found) == len(expected) - 1, "the original has one frame more than samples / 160"
    np.testing.assert_allclose(found, expected[:-1], atol=0.01)
    assert (found > 0).any()
    assert (found == 0).any()


@pytest.mark.parametrize("hertz", [70.0, 110.0, 220.0, 440.0, 880.0])
def test_f0_of_a_steady_voice(fcpe, hertz):
    found = fcpe(voice_like(1.0, hertz))[10:-10]
    assert (cents(found, hertz) < 25).mean() > 0.95


def test_a_frame_is_about_the_sound_around_its_first_sample(fcpe):
    track = 200 * 2 ** (0.25 * np.sin(4 * np.pi * np.arange(64000) / 16000))
    found = fcpe(voice_like(4.0, track))

    def error(offset: int) -> float:
        return cents(found[20:-20], track[20 * 160 + offset :: 160][: len(found) - 40]).mean()

    assert error(0) < 5
    assert min(error(-80), error(80)) > 2 * error(0)


def test_silence_has_no_f0(fcpe):
    assert not fcpe(np.zeros(16000, np.float32)).any()
    paused = np.concatenate([voice_like(1.0, 150.0), np.zeros(16000, np.float32), voice_like(1.0, 200.0)])
    found = fcpe(paused)
    assert not found[110:190].any()
    assert (found[10:90] > 0).all()
    assert (found[210:290] > 0).all()


def test_f0_stays_within_50_and_1100_hertz(fcpe):
    glide = voice_like(4.0, np.geomspace(30, 1900, 64000))
    found = fcpe(glide)
    assert found[found > 0].min() >= 50
    assert found.max() <= 1100
    assert not found[-20:].any()


@pytest.mark.parametrize("samples", [0, 1, 100, 159, 160, 319, 400, 1023, 1025, 16001])
def test_one_frame_for_every_160_samples(fcpe, samples):
    found = fcpe(voice_like(2.0, 150.0)[:samples])
    assert found.shape == (samples // 160,)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()


def test_long_recordings_have_no_seams(fcpe):
    """A minute and a bit: windows end at 31 and 61 seconds."""
    track = 200 * 2 ** (0.5 * np.sin(2 * np.pi * np.arange(64 * 16000) / 16000))
    audio = voice_like(64.0, track)
    found, expected = fcpe(audio), track[::160]
    assert (found > 0).mean() > 0.97
    for border in (3100, 6100):
        near = slice(border - 50, border + 50)
        assert cents(found[near], expected[near]).max() < 25
        excerpt = fcpe(audio[(border - 300) * 160 : (border + 200) * 160])[250:350]
        assert cents(found[near], excerpt).max() < 15
