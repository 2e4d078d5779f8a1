import numpy as np
import pytest
import torch

from rvc.light.decoder import Decoder
from rvc.light.geometry import SAMPLE_RATES_HERTZ, Geometry


@pytest.mark.parametrize("rate", SAMPLE_RATES_HERTZ)
def test_filters_of_0_decibels_give_the_excitation_back(rate: int) -> None:
    geometry = Geometry(rate)
    noise = torch.randn(2, 30 * geometry.hop)
    silent = torch.full((2, 30, geometry.bands), -16.0)
    flat = torch.zeros(2, 30, geometry.bands)
    decoder = Decoder(geometry)
    zeros = torch.zeros_like(noise)
    assert torch.allclose(decoder(torch.cat([silent, flat], -1), zeros, noise), noise, atol=1e-4)
    assert torch.allclose(decoder(torch.cat([flat, silent], -1), noise, zeros), noise, atol=1e-4)


def test_a_filter_has_its_magnitudes_and_acts_only_forward_in_time() -> None:
    geometry = Geometry(16000)
    bands = torch.linspace(0, 6, geometry.bands).sin() * 1.5
    impulse = torch.zeros(1, 20 * geometry.hop)
    impulse[0, 10 * geometry.hop] = 1
    silent = torch.full((geometry.bands,), -16.0)
    filters = torch.cat([bands, silent]).expand(1, 20, -1)
    response = Decoder(geometry)(filters, impulse, torch.zeros_like(impulse))[0]
    before, after = response[: 10 * geometry.hop], response[10 * geometry.hop :]
    assert before.square().sum() < 1e-6 * after.square().sum()
    magnitude = torch.fft.rfft(after[: geometry.fft_size // 2], n=geometry.fft_size).abs()
    expected = (bands @ geometry.band_interpolation()).exp()
    assert torch.allclose(magnitude, expected, rtol=0.02)


@pytest.mark.parametrize("rate", SAMPLE_RATES_HERTZ)
def test_bands_reach_from_0_to_nyquist_and_lines_between_them_are_exact(rate: int) -> None:
    geometry = Geometry(rate)
    hertz = geometry.band_hertz().numpy()
    assert hertz[0] == 0
    assert hertz[-1] == pytest.approx(rate / 2)
    mel = 1127 * np.log1p(hertz / 700)
    drawn = (torch.from_numpy(mel).float() @ geometry.band_interpolation()).numpy()
    assert drawn == pytest.approx(1127 * np.log1p(geometry.bin_hertz().numpy() / 700), rel=1e-4, abs=1e-2)


def test_sizes_fit_every_rate() -> None:
    for rate in SAMPLE_RATES_HERTZ:
        geometry = Geometry(rate)
        assert geometry.hop * 100 == rate
        assert geometry.fft_size >= 4 * geometry.hop
        for window, hop in geometry.loss_windows:
            assert window == 4 * hop
    assert Geometry(16000).bands == 80
