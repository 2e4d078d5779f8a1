import numpy as np
import pytest
import torch

from rvc.base_models import BaseModel
from rvc.base_models.contentvec import hubert_tensors
from rvc.content.contentvec import V1_LAYERS, ContentVecEncoder
from rvc.content.hubert import HubertNetwork
from rvc.contract import ContentEncoder
from rvc.errors import ArtifactCorrupt
from tests.content.hubert import fairseq_names, tiny_tensors, transformers_names
from tests.fixtures.sounds import voice_like

CPU = torch.device("cpu")
TENSORS = tiny_tensors()


def encoder(name: ContentEncoder = ContentEncoder.CONTENT_VEC_768) -> ContentVecEncoder:
    return ContentVecEncoder(name, BaseModel("sha256:0", TENSORS), CPU)


@pytest.fixture(scope="module")
def long_sound() -> np.ndarray:
    """Three windows, and the second ends 40 samples before the recording does."""
    samples = (2 * 1500 + 100) * 320 + 40
    track = 150 * 2 ** (0.3 * np.sin(2 * np.pi * 0.9 * np.arange(samples) / 16000))
    return voice_like(samples / 16000, track)


def original_rows(audio: np.ndarray, layers: int, seconds: int = 1) -> np.ndarray:
    """What the original hears: the whole recording between its mirrored seconds, whose rows are dropped."""
    heard = torch.from_numpy(np.pad(audio, 16000 * seconds, mode="reflect"))[None]
    with torch.inference_mode():
        return HubertNetwork.of(TENSORS)(heard, layers)[0, 50 * seconds : -50 * seconds].numpy()


@pytest.mark.parametrize("samples", [0, 1, 100, 319, 320, 321, 16000, 16001, 31999])
def test_one_row_for_every_320_samples_begun(samples):
    features = encoder()(voice_like(2.0, 150.0)[:samples])
    assert features.shape == (-(-samples // 320), 64)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()


@pytest.mark.parametrize(
    ("name", "layers"), [(ContentEncoder.CONTENT_VEC_768, 12), (ContentEncoder.CONTENT_VEC_256, V1_LAYERS)]
)
def test_rows_are_those_of_the_original_and_none_is_lost(name, layers):
    sound = voice_like(4.0, 130.0)
    ours, theirs = encoder(name)(sound), original_rows(sound, layers)
    if name == ContentEncoder.CONTENT_VEC_256:
        with torch.inference_mode():
            theirs = HubertNetwork.of(TENSORS).final_projection(torch.from_numpy(theirs)).numpy()
    assert len(ours) == 200
    assert len(theirs) == 199
    np.testing.assert_allclose(ours[:199], theirs, atol=1e-5)


def test_row_j_hears_400_samples_from_320_j():
    sound = torch.from_numpy(voice_like(1.0, 130.0))[None]
    changed = sound.clone()
    changed[0, 320 * 20 : 320 * 20 + 80] += 0.1
    network = HubertNetwork.of(TENSORS)
    network.group_norm = torch.nn.Identity()
    with torch.inference_mode():
        rows = torch.nonzero((network.convolve(sound) != network.convolve(changed)).any(1)[0])[:, 0]
    assert rows.tolist() == [19, 20]


def test_loudness_is_heard_as_it_is():
    sound = voice_like(2.0, 130.0)
    assert np.abs(encoder()(0.01 * sound) - encoder()(sound)).max() > 0.01


def test_silence_gives_numbers():
    assert np.isfinite(encoder()(np.zeros(40000, np.float32))).all()


def test_any_range_equals_those_rows_of_the_whole(long_sound):
    whole = encoder()(long_sound)
    assert len(whole) == 3101
    for first, last in [(1470, 1530), (1524, 2976), (3050, 3101), (7, 7)]:
        np.testing.assert_array_equal(encoder().encode_range(long_sound, first, last), whole[first:last])
    blocks = list(encoder().encode_blocks(long_sound))
    np.testing.assert_array_equal(np.concatenate(blocks), whole)
    assert max(map(len, blocks)) <= 1550


def test_windows_join_without_a_step(long_sound):
    steps = np.linalg.norm(np.diff(encoder()(long_sound), axis=0), axis=1)
    assert steps[1470:1530].max() < 1.5 * np.percentile(steps[50:1400], 99)


def test_both_programs_weights_are_the_same_network():
    for theirs in (
        fairseq_names(TENSORS),
        transformers_names(TENSORS),
        transformers_names(TENSORS, parametrized=True),
    ):
        converted = hubert_tensors(theirs)
        assert converted.keys() == TENSORS.keys()
        assert all(torch.equal(converted[name], tensor) for name, tensor in TENSORS.items())


def test_a_layer_is_a_post_norm_transformer_layer():
    network = HubertNetwork.of(TENSORS)
    reference = torch.nn.TransformerEncoderLayer(64, 1, 96, 0.0, "gelu", batch_first=True)
    ours = {name[len("layers.4.") :]: tensor for name, tensor in TENSORS.items() if "layers.4." in name}
    names = {
        "self_attn.out_proj": "attention_out",
        "norm1": "attention_norm",
        "linear1": "feed_forward_in",
        "linear2": "feed_forward_out",
        "norm2": "feed_forward_norm",
    }
    state = {f"{a}.{leaf}": ours[f"{b}.{leaf}"] for a, b in names.items() for leaf in ("weight", "bias")}
    for leaf in ("weight", "bias"):
        joined = torch.cat([ours[f"{part}.{leaf}"] for part in ("query", "key", "value")])
        state[f"self_attn.in_proj_{leaf}"] = joined
    reference.load_state_dict(state)
    x = torch.randn(1, 40, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(network.layers[4](x), reference(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers.2.query.bias": None}, r"layers\.2\.query\.bias"),
        ({"lm_head.weight": torch.ones(1)}, r"lm_head\.weight"),
        ({"norm.bias": torch.ones(3)}, r"norm\.bias"),
        ({"positions.direction": None}, "positions"),
    ],
)
def test_weights_are_all_there_and_no_others(changes, message):
    tensors = {name: tensor for name, tensor in (TENSORS | changes).items() if tensor is not None}
    with pytest.raises(ArtifactCorrupt, match=message):
        HubertNetwork.of(tensors)
