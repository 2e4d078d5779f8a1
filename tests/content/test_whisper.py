import numpy as np
import pytest
import torch

from rvc.base_models import BaseModelName
from rvc.base_models.fetch import fetch_base_models
from rvc.content import load_content_encoder
from rvc.content.whisper import HEADS, TransformerBlock, WhisperEncoder
from rvc.contract import ContentEncoder
from tests.fixtures.sounds import voice_like

CPU = torch.device("cpu")
PINNED = "sha256:f01d7c57fc8744eef7fdd9d10490b983e671f9d81c4fd035cb46c4db29414b06"


@pytest.fixture(scope="module")
def encoder(base_models) -> WhisperEncoder:
    fetch_base_models(base_models, print, [BaseModelName.WHISPER_BASE])
    return load_content_encoder(ContentEncoder.WHISPER_BASE, base_models, CPU)


@pytest.fixture(scope="module")
def long_sound() -> np.ndarray:
    """Three windows."""
    track = 150 * 2 ** (0.3 * np.sin(2 * np.pi * 0.9 * np.arange(22 * 16000) / 16000))
    return voice_like(22.0, track)


def similarity(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Cosine of rows, after the mean row of the first is taken from both."""
    first, second = first - first.mean(0), second - first.mean(0)
    return (first * second).sum(1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)


def test_a_voice_trained_anywhere_meets_the_same_weights(encoder):
    assert encoder.digest == PINNED
    assert (encoder.name, encoder.dimension) == (ContentEncoder.WHISPER_BASE, 512)


def test_a_block_is_a_pre_norm_transformer_layer():
    ours = TransformerBlock()
    reference = torch.nn.TransformerEncoderLayer(
        512, HEADS, 2048, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    theirs = {
        "attention_norm": "norm1",
        "attention_out": "self_attn.out_proj",
        "feed_forward_norm": "norm2",
        "feed_forward_in": "linear1",
        "feed_forward_out": "linear2",
    }
    state = reference.state_dict()
    weights = {f"{a}.{leaf}": state[f"{b}.{leaf}"] for a, b in theirs.items() for leaf in ("weight", "bias")}
    weights["attention_in.weight"] = state["self_attn.in_proj_weight"]
    weights["attention_in.bias"] = state["self_attn.in_proj_bias"]
    ours.load_state_dict(weights)
    x = torch.randn(1, 40, 512, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(ours(x), reference(x), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("samples", [0, 1, 100, 319, 320, 321, 16000, 16001])
def test_one_row_for_every_320_samples_begun(encoder, samples):
    features = encoder(voice_like(2.0, 150.0)[:samples])
    assert features.shape == (-(-samples // 320), 512)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()


def test_silence_gives_numbers(encoder):
    assert np.isfinite(encoder(np.zeros(40000, np.float32))).all()


def test_any_range_equals_those_rows_of_the_whole(encoder, long_sound):
    whole = encoder(long_sound)
    assert len(whole) == 1100
    for first, last in [(470, 530), (524, 976), (1050, 1100), (7, 7)]:
        np.testing.assert_array_equal(encoder.encode_range(long_sound, first, last), whole[first:last])
    blocks = list(encoder.encode_blocks(long_sound))
    np.testing.assert_array_equal(np.concatenate(blocks), whole)
    assert max(map(len, blocks)) <= 550


def test_windows_join_without_a_step(encoder, long_sound):
    steps = np.linalg.norm(np.diff(encoder(long_sound), axis=0), axis=1)
    assert steps[470:530].max() < 1.5 * np.percentile(steps[50:450], 99)


@pytest.mark.parametrize("gain", [0.02, 0.3, 3.0])
def test_loudness_does_not_matter(encoder, gain):
    sound = voice_like(3.0, 180.0)
    np.testing.assert_allclose(encoder(sound * np.float32(gain)), encoder(sound), atol=0.05)


def test_the_same_recording_gives_the_same_features(encoder):
    sound = voice_like(3.0, 120.0)
    np.testing.assert_array_equal(encoder(sound), encoder(sound.copy()))


def test_features_tell_sounds_apart_and_not_pitches(encoder):
    low, high = encoder(voice_like(3.0, 120.0)), encoder(voice_like(3.0, 160.0))
    same_moment = similarity(low, high).mean()
    other_moment = similarity(low, np.roll(high, 35, axis=0)).mean()
    assert same_moment > other_moment + 0.1
