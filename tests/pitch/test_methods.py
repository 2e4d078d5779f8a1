"""What every pitch method must do, on sounds whose F0 is known."""

import importlib

import numpy as np
import pytest
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors

from rvc.base_models import BaseModelName
from rvc.base_models.filling import filling, put
from rvc.contract import PitchMethod
from rvc.errors import ArtifactCorrupt, InvalidConfiguration
from rvc.pitch import PitchExtractor, load_pitch
from tests.fixtures.sounds import voice_like
from tests.pitch.conftest import cents

QUICK = [PitchMethod.FCPE, PitchMethod.CREPE_TINY, PitchMethod.PRAAT, PitchMethod.HARVEST]
ACCURACY_CENTS = {
    PitchMethod.FCPE: 15,
    PitchMethod.CREPE_TINY: 20,
    PitchMethod.CREPE: 15,
    PitchMethod.PRAAT: 3,
    PitchMethod.HARVEST: 3,
}


@pytest.fixture(scope="module")
def extractors(crepe_models, cpu) -> dict[PitchMethod, PitchExtractor]:
    return {method: load_pitch(method, crepe_models, cpu) for method in ACCURACY_CENTS}


def tone(seconds: float, hertz: float | np.ndarray, harmonics: int = 6) -> np.ndarray:
    samples = round(seconds * 16000)
    phase = 2 * np.pi * np.cumsum(np.broadcast_to(hertz, samples)) / 16000
    return (0.3 * sum(np.sin(k * phase) / k for k in range(1, harmonics + 1))).astype(np.float32)


@pytest.mark.parametrize("method", QUICK)
@pytest.mark.parametrize("hertz", [110.0, 247.0, 440.0])
def test_tones_and_voices_around_silence(extractors, method, hertz):
    silence = np.zeros(8000, np.float32)
    found = extractors[method](np.concatenate([tone(0.5, hertz), silence, voice_like(0.5, 2**0.5 * hertz)]))
    assert np.median(cents(found[8:42], hertz)) < ACCURACY_CENTS[method]
    assert not found[60:90].any()
    assert np.median(cents(found[108:142], 2**0.5 * hertz)) < ACCURACY_CENTS[method]


@pytest.mark.parametrize("method", [PitchMethod.CREPE_TINY, PitchMethod.PRAAT])
def test_bare_tones(extractors, method):
    """FCPE was trained on voices, and Harvest asks for a second harmonic."""
    found = extractors[method](tone(0.5, 110.0, harmonics=1))
    assert np.median(cents(found[8:42], 110.0)) < ACCURACY_CENTS[method]


@pytest.mark.parametrize("method", QUICK)
def test_glides_are_followed_without_delay(extractors, method):
    track = np.geomspace(120, 360, 32000)
    found = extractors[method](tone(2.0, track))[10:-10]
    assert np.median(cents(found, track[::160][10:-10])) < ACCURACY_CENTS[method]


def test_the_full_crepe_network(extractors):
    found = extractors[PitchMethod.CREPE](np.concatenate([tone(0.25, 220.0), np.zeros(3200, np.float32)]))
    assert np.median(cents(found[5:20], 220.0)) < ACCURACY_CENTS[PitchMethod.CREPE]
    assert not found[32:].any()


@pytest.mark.parametrize("method", QUICK)
@pytest.mark.parametrize("samples", [0, 1, 159, 160, 161, 480, 959, 960, 961, 1700, 8077])
def test_one_frame_for_every_160_samples(extractors, method, samples):
    for audio in (voice_like(1.0, 150.0)[:samples], np.zeros(samples, np.float32)):
        found = extractors[method](audio)
        assert found.shape == (samples // 160,)
        assert found.dtype == np.float32
        assert np.isfinite(found).all()
        assert ((found == 0) | ((found >= 50) & (found <= 1100))).all()


@pytest.mark.parametrize("method", QUICK)
def test_the_same_audio_gives_the_same_f0(extractors, method):
    noisy = voice_like(1.0, 180.0) + 0.05 * np.random.default_rng(0).standard_normal(16000).astype(np.float32)
    np.testing.assert_array_equal(extractors[method](noisy), extractors[method](noisy))


@pytest.mark.parametrize("method", [PitchMethod.CREPE_TINY, PitchMethod.PRAAT, PitchMethod.HARVEST])
def test_windows_find_what_a_single_pass_finds(extractors, method, monkeypatch):
    """Loud, then at a hundredth of that, where Praat must go by the loudness of the whole."""
    extractor = extractors[method]
    time = np.arange(10 * 16000) / 16000
    level = np.interp(time, [0, 3, 3.5, 6.5, 7, 10], [1, 1, 0.01, 0.01, 1, 1])
    audio = (voice_like(10.0, 200 * 2 ** (0.5 * np.sin(2 * np.pi * time))) * level).astype(np.float32)[:-57]
    whole = extractor(audio)
    windows = type(extractor.windows)(length=400, context=100)
    assert len(windows.spans(len(whole))) == 4
    monkeypatch.setattr(type(extractor), "windows", windows)
    found = extractor(audio)
    assert ((found > 0) == (whole > 0)).mean() > 0.995
    both = (found > 0) & (whole > 0)
    assert np.percentile(cents(found[both], whole[both]), 99.5) < 1


def test_methods_say_what_they_are(extractors):
    for method, extractor in extractors.items():
        assert extractor.name == method
    digests = {extractor.digest for extractor in extractors.values()}
    assert len(digests) == len(extractors)
    assert extractors[PitchMethod.PRAAT].digest.startswith("praat-parselmouth 0.")


@pytest.mark.parametrize(
    "method",
    [PitchMethod.AUTO, PitchMethod.RMVPE, PitchMethod.FCPE, PitchMethod.CREPE, PitchMethod.CREPE_TINY],
)
def test_missing_weights_say_what_to_do(tmp_path, cpu, method):
    with pytest.raises(InvalidConfiguration, match="rvc fetch-base") as caught:
        load_pitch(method, tmp_path, cpu)
    assert caught.value.reason == "BaseModelMissing"


@pytest.mark.parametrize(
    ("method", "module", "package"),
    [
        (PitchMethod.PRAAT, "parselmouth", "praat-parselmouth"),
        (PitchMethod.HARVEST, "pyworld", "pyworld-prebuilt"),
    ],
)
def test_missing_packages_say_what_to_install(cpu, monkeypatch, method, module, package):
    monkeypatch.setitem(importlib.sys.modules, module, None)
    with pytest.raises(InvalidConfiguration, match=f"pip install {package}") as caught:
        load_pitch(method, None, cpu)
    assert caught.value.reason == "PitchMethodUnavailable"


def test_auto_is_rmvpe_where_the_folder_has_it(base_models, tmp_path, cpu, rmvpe_weights):
    assert load_pitch(PitchMethod.AUTO, base_models, cpu).name == PitchMethod.FCPE
    tensors = load_safetensors(save_safetensors(rmvpe_weights.tensors))
    with filling(tmp_path):
        put(tmp_path, BaseModelName.RMVPE, tensors, "nothing learnt")
    assert load_pitch(PitchMethod.AUTO, tmp_path, cpu).name == PitchMethod.RMVPE


@pytest.mark.parametrize("method", [PitchMethod.RMVPE, PitchMethod.FCPE, PitchMethod.CREPE])
def test_weights_of_something_else_are_refused(tmp_path, cpu, rmvpe_weights, method):
    tensors = {name: tensor for name, tensor in rmvpe_weights.tensors.items() if name != "fc.1.bias"}
    with filling(tmp_path):
        put(tmp_path, BaseModelName(method.value.lower()), tensors, "nothing learnt")
    with pytest.raises(ArtifactCorrupt, match=f"not weights of {method}"):
        load_pitch(method, tmp_path, cpu)
