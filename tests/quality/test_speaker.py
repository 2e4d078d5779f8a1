from pathlib import Path

import numpy as np
import pytest
import scipy.signal

from rvc.quality.speaker import SpeakerEncoder, load_speaker_encoder
from tests.fixtures.sounds import voice_like


@pytest.fixture(scope="module")
def encoder(base_models: Path) -> SpeakerEncoder:
    found = load_speaker_encoder(base_models)
    assert found is not None
    return found


def test_a_voice_is_nearer_to_itself_than_to_another(encoder: SpeakerEncoder) -> None:
    low, again, high = voice_like(3.0, 110.0), voice_like(4.0, 115.0)[8000:], voice_like(3.0, 280.0)
    assert encoder(low) @ encoder(again) > 0.9
    assert encoder(low) @ encoder(again) > encoder(low) @ encoder(high) + 0.1


def test_how_quiet_it_is_and_pauses_do_not_count(encoder: SpeakerEncoder) -> None:
    speech = voice_like(2.0, 150.0)
    pause = np.zeros(16000, np.float32)
    assert encoder(0.05 * speech) @ encoder(0.001 * speech) > 0.999, "quiet ones are brought to one level"
    assert encoder(speech) @ encoder(np.concatenate([speech, pause])) > 0.97


@pytest.mark.parametrize("samples", [1, 100, 1000, 16000, 100_000])
def test_vectors_have_unit_length_whatever_the_recording(encoder: SpeakerEncoder, samples: int) -> None:
    vector = encoder(scipy.signal.resample(voice_like(1.0, 150.0), samples).astype(np.float32))
    assert vector.shape == (256,)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_silence_has_a_vector(encoder: SpeakerEncoder) -> None:
    assert np.isfinite(encoder(np.zeros(16000, np.float32))).all()


def test_the_mean_lies_between(encoder: SpeakerEncoder) -> None:
    voices = [voice_like(2.0, f0) for f0 in (110.0, 180.0)]
    mean = encoder.mean(voices)
    assert np.linalg.norm(mean) == pytest.approx(1, abs=1e-5)
    assert min(encoder(one) @ mean for one in voices) > encoder(voices[0]) @ encoder(voices[1])


def test_without_weights_there_is_none(tmp_path: Path) -> None:
    assert load_speaker_encoder(tmp_path) is None
