import numpy as np
import pytest
import torch

from rvc.content.small import WEIGHTS, SmallEncoder
from rvc.content.small.agreement import Timeline, agreement, heard
from rvc.content.small.augment import Disguise, plain_samples
from rvc.content.small.corpora import Corpus, measure_standard
from rvc.content.small.distil import begin_as, loss_of, train
from rvc.content.small.network import SmallNetwork
from rvc.content.small.packing import pack, unpack
from rvc.contract import ContentEncoder
from rvc.errors import ArtifactCorrupt
from tests.fixtures.sounds import voice_like

CPU = torch.device("cpu")
PINNED = "sha256:eeceb21780d89bf5f4de91a49e06f370d2d2570e223c1634b20ba35a9bc8fc79"


@pytest.fixture(scope="module")
def encoder() -> SmallEncoder:
    return SmallEncoder(CPU)


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
    assert (encoder.name, encoder.dimension) == (ContentEncoder.SMALL, 512)


def test_the_weights_are_small():
    assert WEIGHTS.stat().st_size <= 8 * 2**20


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
    for first, last in [(270, 330), (324, 976), (1050, 1100), (7, 7)]:
        np.testing.assert_array_equal(encoder.encode_range(long_sound, first, last), whole[first:last])
    blocks = list(encoder.encode_blocks(long_sound))
    np.testing.assert_array_equal(np.concatenate(blocks), whole)
    assert max(map(len, blocks)) <= 350


def test_windows_join_without_a_step(encoder, long_sound):
    steps = np.linalg.norm(np.diff(encoder(long_sound), axis=0), axis=1)
    assert steps[270:330].max() < 1.5 * np.percentile(steps[50:250], 99)


def test_a_row_hardly_depends_on_where_it_is(encoder, long_sound):
    later = np.concatenate([np.zeros(320 * 137, np.float32), long_sound])
    assert similarity(encoder(long_sound), encoder(later)[137:])[50:].mean() > 0.8


@pytest.mark.parametrize("gain", [0.3, 3.0])
def test_loudness_hardly_matters(encoder, gain):
    sound = voice_like(3.0, 180.0)
    assert similarity(encoder(sound), encoder(sound * np.float32(gain))).mean() > 0.9


def test_a_telephone_hardly_matters(encoder):
    sound = voice_like(3.0, 180.0)
    spectrum = np.fft.rfft(sound)
    spectrum[int(4000 * 3.0) :] = 0
    narrow = np.fft.irfft(spectrum, len(sound)).astype(np.float32)
    assert similarity(encoder(sound), encoder(narrow)).mean() > 0.6


def test_features_tell_sounds_apart_and_not_pitches(encoder):
    low, high = encoder(voice_like(3.0, 120.0)), encoder(voice_like(3.0, 160.0))
    same_moment = similarity(low, high).mean()
    other_moment = similarity(low, np.roll(high, 35, axis=0)).mean()
    assert same_moment > other_moment + 0.1


def test_a_disguise_keeps_time_and_depends_on_the_generator_alone():
    sound = torch.from_numpy(voice_like(2.0, 150.0))[: plain_samples(150)].clone()
    sound[8000:12000] = 0.0
    first, again = (Disguise(torch.Generator().manual_seed(4))(sound.expand(16, -1)) for _ in range(2))
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    assert first.shape == (16, 201, 150)
    assert torch.isfinite(first).all()
    assert (first >= 0).all()
    energy = first.sum(1)
    assert (energy[:, 70:74].mean(1) < 0.6 * energy[:, 10:45].mean(1)).all()
    assert len({round(float(each), 3) for each in energy.sum(1).log()}) > 8


def test_targets_lose_the_voice_and_the_position_and_keep_the_content():
    rng = np.random.default_rng(0)
    position = np.sin(2 * np.pi * np.arange(500) / 500)[:, None] * rng.normal(size=(1, 512))
    contents = [rng.normal(size=(20000, 512)).astype(np.float32) for _ in range(2)]
    corpora = [
        Corpus(
            str(number),
            np.zeros(0, np.int16),
            (2 * content + 3 * number + position[np.arange(20000) % 500]).astype(np.float16),
        )
        for number, content in enumerate(contents)
    ]
    standard = measure_standard(corpora)
    for content, corpus in zip(contents, corpora, strict=True):
        targets = standard.targets(corpus).astype(np.float32)
        assert np.sqrt(np.mean((targets - content) ** 2)) < 0.25
        assert abs(targets.std() - 1) < 0.05


def test_the_loss_is_nothing_only_for_the_teachers_rows():
    rows = torch.randn(2, 30, 512, generator=torch.Generator().manual_seed(0))
    assert loss_of(rows, rows).item() == pytest.approx(0.0, abs=1e-5)
    assert loss_of(rows.roll(1, 1), rows).item() > 1.0


def test_packing_keeps_weights_within_half_a_step_and_refuse_what_is_missing():
    weights = {
        "matrix": torch.randn(12, 8, 3, generator=torch.Generator().manual_seed(0)),
        "bias": torch.ones(5),
    }
    weights["matrix"][3] = 0.0
    shapes = {name: tensor.shape for name, tensor in weights.items()}
    packed = pack(weights)
    read = unpack(packed, shapes)
    step = weights["matrix"].abs().amax((1, 2), keepdim=True) / 30
    assert ((read["matrix"] - weights["matrix"]).abs() <= 0.51 * step).all()
    torch.testing.assert_close(read["bias"], weights["bias"])
    again = unpack(pack(read), shapes)
    torch.testing.assert_close(again["matrix"], read["matrix"], rtol=2e-3, atol=0)
    del packed["bias"]
    with pytest.raises(ArtifactCorrupt, match="bias"):
        unpack(packed, shapes)


@pytest.fixture(scope="module")
def lesson() -> Timeline:
    sound = voice_like(12.0, 150.0)
    targets = np.random.default_rng(0).normal(size=(600, 512)).astype(np.float16)
    return Timeline("one", (sound * 32767).astype(np.int16), targets)


def test_distillation_writes_what_the_encoder_reads(lesson, tmp_path):
    torch.manual_seed(0)
    teacher = {name: 0.5 * tensor for name, tensor in SmallNetwork().state_dict().items()}
    network = begin_as(teacher, [lesson], batches=2)
    torch.testing.assert_close(network.convolution_1.weight.detach(), teacher["convolution_1.weight"])
    before = network.leave.weight.detach().clone()
    train(network, [lesson], [lesson], 0.01, tmp_path / "weights.safetensors")
    assert not torch.equal(network.leave.weight, before)
    assert SmallEncoder(CPU, tmp_path / "weights.safetensors")(lesson.audio / np.float32(32768)).shape == (
        600,
        512,
    )


def test_agreement_is_whole_with_oneself(lesson):
    torch.manual_seed(0)
    network = SmallNetwork().eval()
    own = Timeline("one", lesson.audio, heard(network, lesson).numpy())
    (line,) = agreement(network, [own])
    assert line.startswith("one: cosine 1.000, R2 1.000")
