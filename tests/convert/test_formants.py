from pathlib import Path

import numpy as np
import pytest
import soundfile

from rvc.contract import AudioFormat, ConversionParameters
from rvc.convert import Converter, tile_settings
from rvc.light.geometry import Geometry
from tests.fixtures.sounds import voice_like


def test_cents_are_a_ratio() -> None:
    assert tile_settings(ConversionParameters(formant_shift_cents=1200)).formant_ratio == 2
    assert tile_settings(ConversionParameters()).formant_ratio == 1


@pytest.mark.parametrize("ratio", [0.5, 0.9, 1.2, 2.0])
def test_what_the_bands_of_light_say_moves_by_the_ratio(ratio: float) -> None:
    geometry = Geometry(32000)
    hertz = geometry.band_hertz().numpy()
    peak = np.exp(-(np.log(np.maximum(hertz, 1) / 1500) ** 2) / 0.02)
    moved = peak @ geometry.moved_bands(ratio).numpy()
    assert hertz[moved.argmax()] == pytest.approx(1500 * ratio, rel=0.06)
    assert np.allclose(geometry.moved_bands(1.0).numpy(), np.eye(geometry.bands), atol=1e-5)


def test_pitch_and_length_stay(converter: Converter, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "in.wav", voice_like(2.0, 150.0), 16000)
    sounds = []
    for cents in (0, 500):
        parameters = ConversionParameters(formant_shift_cents=cents)
        report = converter.convert(
            tmp_path / "in.wav", tmp_path / "out.wav", parameters, AudioFormat.WAV, tmp_path
        )
        assert report.median_f0_hertz == pytest.approx(150, rel=0.02)
        sounds.append(soundfile.read(tmp_path / "out.wav")[0])
    assert len(sounds[0]) == len(sounds[1]) == 64000
    assert np.abs(sounds[0] - sounds[1]).max() > 0.01
