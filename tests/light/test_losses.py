import pytest
import soxr
import torch

from rvc.light.geometry import Geometry
from rvc.light.losses import SpectralLoss
from tests.fixtures.sounds import voice_like


def distance(rate: int, ours: torch.Tensor, theirs: torch.Tensor) -> float:
    loss = SpectralLoss(Geometry(rate))
    spectral, mel = loss(loss.magnitudes(ours[None]), loss.magnitudes(theirs[None]))
    return float(spectral + mel)


def test_a_sound_is_nowhere_from_itself_and_farther_from_another_the_more_they_differ() -> None:
    sound, other = (torch.from_numpy(voice_like(1.0, f0)) for f0 in (150, 230))
    assert distance(16000, sound, sound) == 0
    assert 0 < distance(16000, sound * 1.2, sound) < distance(16000, sound * 2, sound)
    assert distance(16000, other, sound) > distance(16000, sound * 1.2, sound)


@pytest.mark.parametrize("rate", [32000, 40000, 48000])
def test_distances_mean_the_same_at_every_rate(rate: int) -> None:
    sound = voice_like(1.0, 180)
    quieter = 0.5 * sound
    here = distance(16000, torch.from_numpy(quieter), torch.from_numpy(sound))
    there = distance(rate, *(torch.from_numpy(soxr.resample(x, 16000, rate)) for x in (quieter, sound)))
    # Half of the weight and more lies above 8 kHz, where both are empty and so equal.
    assert 0.3 * here < there < here


def test_what_is_below_the_floor_costs_nothing() -> None:
    empty_above = torch.from_numpy(soxr.resample(voice_like(1.0, 180), 16000, 40000))
    hiss = 1e-6 * torch.randn(empty_above.shape, generator=torch.Generator().manual_seed(0))
    assert distance(40000, empty_above + hiss, empty_above) < 0.01


@pytest.mark.parametrize("rate", [16000, 40000])
def test_magnitudes_and_their_gradients_are_those_of_short_time_spectra(rate: int) -> None:
    geometry = Geometry(rate)
    audio = torch.randn(2, rate, generator=torch.Generator().manual_seed(0), requires_grad=True)
    magnitudes = SpectralLoss(geometry).magnitudes(audio)
    for (window, hop), ours in zip(geometry.loss_windows, magnitudes, strict=True):
        spectrum = torch.stft(audio, window, hop, window=torch.hann_window(window), return_complex=True)
        power = torch.view_as_real(spectrum).square().sum(-1) + 1e-7
        theirs = (power / (window * rate / 16000)).sqrt()
        torch.testing.assert_close(ours, theirs)
        slope = torch.randn(theirs.shape, generator=torch.Generator().manual_seed(1))
        (led,), (expected,) = (
            torch.autograd.grad(m, audio, slope, retain_graph=True) for m in (ours, theirs)
        )
        torch.testing.assert_close(led, expected, rtol=1e-4, atol=1e-5)
