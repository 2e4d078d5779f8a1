import librosa
import numpy as np
import pytest
import torch

from rvc.audio.mel import htk_mel_filters
from rvc.base_models import BaseModel
from rvc.errors import ArtifactCorrupt
from rvc.pitch.rmvpe import RMVPE, decode_salience
from rvc.pitch.rmvpe_network import RMVPENetwork, Sizes
from rvc.pitch.windows import Windows
from tests.fixtures.sounds import voice_like


@pytest.fixture(scope="module")
def rmvpe(rmvpe_weights, cpu) -> RMVPE:
    return RMVPE(rmvpe_weights, cpu)


def test_the_official_network_has_the_official_size():
    with torch.device("meta"):
        network = RMVPENetwork(Sizes())
    assert len(network.state_dict()) == 741
    assert sum(parameter.numel() for parameter in network.parameters()) == 90_423_165


def test_sizes_are_read_off_the_weights():
    for sizes in (Sizes(), Sizes(channels=3, levels=4, intermediate_levels=2, blocks=1)):
        with torch.device("meta"):
            tensors = RMVPENetwork(sizes).state_dict()
        assert Sizes.of(tensors) == sizes


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"fc.1.bias": None}, "missing: fc.1.bias"),
        ({"fc.2.bias": torch.zeros(1)}, "not known: fc.2.bias"),
        ({"cnn.weight": torch.zeros(3, 9, 3, 3)}, "of another shape: cnn.weight"),
        ({"unet.encoder.layers.0.conv.0.conv.0.weight": None}, "U-Net"),
    ],
)
def test_weights_that_do_not_fit_are_named(rmvpe_weights, cpu, changed, complaint):
    tensors = {**rmvpe_weights.tensors, **changed}
    present = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    with pytest.raises(ArtifactCorrupt, match=complaint):
        RMVPE(BaseModel("", present), cpu)


def test_half_precision_weights_compute_in_single_precision(rmvpe_weights, rmvpe, cpu):
    half = {name: t.half() if t.is_floating_point() else t for name, t in rmvpe_weights.tensors.items()}
    mel = rmvpe.log_mel(voice_like(0.5, 150.0), 0, 51)
    salience = RMVPE(BaseModel("", half), cpu).salience(mel)
    assert salience.dtype == np.float32
    np.testing.assert_allclose(salience, rmvpe.salience(mel), atol=0.05)


def test_filters_are_those_of_librosa():
    expected = librosa.filters.mel(sr=16000, n_fft=1024, n_mels=128, fmin=30, fmax=8000, htk=True)
    np.testing.assert_allclose(htk_mel_filters(16000, 1024, 128, 30.0, 8000.0), expected, atol=1e-7)


def test_the_mel_spectrogram_of_a_part_is_that_of_the_whole(rmvpe):
    audio = voice_like(2.0, np.geomspace(90, 400, 32000))
    whole = rmvpe.log_mel(audio, 0, 201)
    np.testing.assert_allclose(rmvpe.log_mel(audio, 64, 128), whole[:, 64:128], atol=1e-4)
    np.testing.assert_allclose(rmvpe.log_mel(audio, 128, 201), whole[:, 128:], atol=1e-4)


def test_frames_beyond_the_end_change_nothing_before_it(rmvpe):
    """The network's multiple of 32 frames is its own affair."""
    mel = rmvpe.log_mel(voice_like(1.0, 150.0), 0, 101)
    padded = torch.nn.functional.pad(mel, (0, 27))
    np.testing.assert_array_equal(rmvpe.salience(mel), rmvpe.salience(padded)[:101])


@pytest.mark.parametrize("samples", [0, 1, 159, 160, 511, 513, 5120, 8077])
def test_one_frame_for_every_160_samples(rmvpe, samples):
    found = rmvpe(voice_like(1.0, 150.0)[:samples])
    assert found.shape == (samples // 160,)
    assert found.dtype == np.float32
    assert ((found == 0) | ((found >= 31) & (found <= 2006))).all()


def test_windows_find_what_a_single_pass_finds(rmvpe, monkeypatch):
    """But for a few frames: a network that has not learnt wavers between pitches, and minds what is far."""
    audio = voice_like(30.0, 200 * 2 ** (0.5 * np.sin(2 * np.pi * np.arange(30 * 16000) / 16000)))[:-57]
    spans = RMVPE.windows.spans(3000)
    assert spans == [(0, 2560), (448, 3000)]
    windowed = rmvpe(audio)
    monkeypatch.setattr(RMVPE, "windows", Windows(length=3200, context=0, grid=32))
    whole = rmvpe(audio)
    assert np.isclose(windowed, whole, rtol=1e-3).mean() > 0.95
    mel = rmvpe.log_mel(audio, 0, 3000)
    first, seen = rmvpe.salience(mel[:, :2560]), rmvpe.salience(mel)
    second = rmvpe.salience(mel[:, 448:])
    np.testing.assert_allclose(first[:704], seen[:704], atol=0.05)
    np.testing.assert_allclose(second[256:], seen[704:], atol=0.05)


def bump(pitch: float, height: float = 0.9) -> np.ndarray:
    return height * np.exp(-((np.arange(360) - pitch) ** 2) / 4)


@pytest.mark.parametrize("pitch", [5.0, 100.25, 200.5, 330.8])
def test_f0_lies_between_pitches(pitch):
    (found,) = decode_salience(bump(pitch)[None], 0.03)
    assert abs(1200 * np.log2(found / 31.70) - 20 * pitch) < 2


def test_at_the_ends_only_the_pitches_that_there_are_count():
    low, high = decode_salience(np.stack([bump(0), bump(359)]), 0.03)
    assert 31.7 < low < 32.3
    assert 1972 < high < 2006


def test_the_threshold_itself_is_unvoiced():
    salience = np.stack([bump(100, 0.5), bump(100, 0.25), np.zeros(360)])
    voiced = decode_salience(salience, 0.25) > 0
    assert voiced.tolist() == [True, False, False]
