import math

import librosa
import numpy as np
import pytest
import torch

from rvc.rvc2.discriminators import Discriminators
from rvc.rvc2.geometry import OFFICIAL_RATES_HERTZ, Geometry
from rvc.rvc2.losses import adversarial_loss, discriminator_losses, feature_loss, kl_loss
from rvc.rvc2.network import Learnt
from rvc.rvc2.spectrogram import CLASSIC, Spectrograms


@pytest.mark.parametrize("rate", OFFICIAL_RATES_HERTZ)
def test_spectrograms_have_a_frame_for_each_hop_and_are_those_of_librosa(rate: int) -> None:
    geometry = Geometry.official("v2", rate, True)
    sound = 0.1 * torch.randn(2, 30 * geometry.hop, generator=torch.Generator().manual_seed(0))
    spectrograms = Spectrograms(geometry)
    magnitudes = spectrograms.magnitudes(sound)
    assert magnitudes.shape == (2, geometry.spectrogram_bins, 30)
    sizes = geometry.training
    margin = (sizes.filter_length - sizes.hop) // 2
    padded = np.pad(sound[1].numpy(), margin, mode="reflect")
    theirs = librosa.stft(padded, n_fft=sizes.filter_length, hop_length=sizes.hop, center=False)
    np.testing.assert_allclose(magnitudes[1], np.sqrt(np.abs(theirs) ** 2 + CLASSIC.power), atol=2e-4)
    filters = librosa.filters.mel(sr=rate, n_fft=sizes.filter_length, n_mels=sizes.mel_bands)
    mel = np.log(np.maximum(filters @ magnitudes[1].numpy(), CLASSIC.mel))
    np.testing.assert_allclose(spectrograms(sound)[1], mel, atol=1e-4)


def test_silence_has_finite_logarithms_and_gradients() -> None:
    geometry = Geometry.official("v2", 40000, True)
    sound = torch.zeros(1, 20 * geometry.hop, requires_grad=True)
    mel = Spectrograms(geometry)(sound)
    mel.sum().backward()
    assert mel.isfinite().all()
    assert sound.grad is not None
    assert sound.grad.isfinite().all()


def test_scores_are_judged_by_their_distance_from_the_truth() -> None:
    scores = [torch.tensor([[1.0, 1.0]]), torch.tensor([[0.0, 2.0]])]
    assert discriminator_losses(scores, recorded=True).tolist() == [0, 1]
    assert discriminator_losses(scores, recorded=False).tolist() == [1, 2]


def test_a_recording_fools_as_well_as_itself() -> None:
    discriminators = Discriminators("v1").requires_grad_(False)
    sound = torch.randn(1, 1, 4000, generator=torch.Generator().manual_seed(0))
    judged = discriminators(sound)
    assert len(judged) == 7
    assert [len(features) for _, features in judged] == [7] + [6] * 6
    assert feature_loss(judged, judged) == 0
    louder = discriminators(2 * sound)
    assert feature_loss(louder, judged) > 0
    assert adversarial_loss(judged) > 0


def learnt(frames: int, inside: int, **changes: torch.Tensor) -> Learnt:
    mask = torch.zeros(1, 1, frames)
    mask[..., :inside] = 1
    zeros = torch.zeros(1, 4, frames)
    fields = dict.fromkeys(
        ("z", "z_prior", "prior_mean", "prior_log_deviation", "posterior_mean", "posterior_log_deviation"),
        zeros,
    )
    return Learnt(sound=torch.zeros(1), mask=mask, **{**fields, **changes})


def test_divergence_is_counted_inside_sequences_only() -> None:
    z_prior = torch.zeros(1, 4, 10)
    z_prior[..., 6:] = 1e6
    assert kl_loss(learnt(10, 6, z_prior=z_prior)) == pytest.approx(4 * -0.5)


def test_divergence_of_equal_normals_is_zero_in_the_mean() -> None:
    generator = torch.Generator().manual_seed(0)
    z = 2 * torch.randn(1, 4, 50_000, generator=generator)
    deviation = torch.full_like(z, math.log(2))
    loss = kl_loss(
        learnt(50_000, 50_000, z_prior=z, prior_log_deviation=deviation, posterior_log_deviation=deviation)
    )
    assert loss == pytest.approx(0, abs=0.02)
