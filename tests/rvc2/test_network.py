from dataclasses import replace
from typing import get_args

import pytest
import torch

from rvc.rvc2.geometry import OFFICIAL_RATES_HERTZ, Version
from rvc.rvc2.layers import fold_weight_norm
from rvc.rvc2.network import Excerpt, Features, slices
from tests.rvc2.small import random_features, small_geometry, small_network


@pytest.mark.parametrize("f0", [True, False])
@pytest.mark.parametrize("rate", OFFICIAL_RATES_HERTZ)
@pytest.mark.parametrize("version", get_args(Version))
def test_every_kind_speaks_as_long_as_its_frames(version: Version, rate: int, f0: bool) -> None:
    geometry = small_geometry(version, rate, f0)
    sound = small_network(geometry).infer(random_features(geometry, [12]))
    assert sound.shape == (1, 1, 12 * rate // 100)
    assert 0 < sound.abs().max() <= 1


def test_folding_weight_norm_changes_names_and_not_sound() -> None:
    geometry = small_geometry()
    network, features = small_network(geometry), random_features(geometry, [20])
    before = network.infer(features)
    fold_weight_norm(network)
    assert not any("weight_" in name for name in network.state_dict())
    torch.testing.assert_close(network.infer(features), before, atol=1e-6, rtol=0)


def test_a_sequence_in_a_batch_sounds_as_it_does_alone() -> None:
    geometry = small_geometry()
    network, both = small_network(geometry), random_features(geometry, [40, 25])
    noise = torch.randn(2, 16, 40, generator=torch.Generator().manual_seed(1))
    together = network.infer(both, noise)
    alone = Features(
        both.content[1:, :25], both.lengths[1:], both.speaker[1:], both.pitch[1:, :25], both.f0_hertz[1:, :25]
    )
    latents = network.latents(both, noise)
    torch.testing.assert_close(
        latents[1:, :, :25], network.latents(alone, noise[1:, :, :25]), atol=1e-5, rtol=1e-4
    )
    assert not latents[1, :, 25:].any()
    # The decoder is not masked; near the end it hears the silence that follows.
    unaffected = 15 * geometry.hop
    heard = network.infer(alone, noise[1:, :, :25])
    torch.testing.assert_close(together[1:, :, :unaffected], heard[..., :unaffected], atol=1e-5, rtol=1e-4)


def test_speakers_pitch_and_noise_are_heard() -> None:
    geometry = small_geometry()
    network, features = small_network(geometry), random_features(geometry, [20])
    noise = torch.randn(1, 16, 20, generator=torch.Generator().manual_seed(1))
    source_noise = torch.randn(1, 20 * geometry.hop, generator=torch.Generator().manual_seed(2))
    sounds = [
        network.infer(features),
        network.infer(features, noise),
        network.infer(features, None, source_noise),
        network.infer(replace(features, speaker=features.speaker + 1)),
        network.infer(features, start_cycles=torch.tensor([0.25])),
    ]
    for i, first in enumerate(sounds):
        assert all(not torch.equal(first, second) for second in sounds[i + 1 :])
    assert torch.equal(sounds[1], network.infer(features, noise))


def test_an_excerpt_is_that_part_of_the_whole_and_stretches() -> None:
    geometry = small_geometry(f0=False)
    network, features = small_network(geometry), random_features(geometry, [90])
    whole = network.latents(features)
    part = network.latents(features, first_frame=30)
    # The flow sees 24 frames before those wanted, and reaches exactly as far.
    torch.testing.assert_close(part[:, :, 24:], whole[:, :, 54:], atol=1e-5, rtol=1e-4)
    expected = network.dec(whole[:, :, 54:74], None, network.speaker(features.speaker))
    heard = network.infer(features, excerpt=Excerpt(54, 20, 20))
    torch.testing.assert_close(heard, expected, atol=1e-5, rtol=1e-4)
    stretched = network.infer(features, excerpt=Excerpt(54, 20, 23))
    assert stretched.shape[-1] == 23 * geometry.hop


def test_training_pass_and_conversion_agree_about_latents() -> None:
    geometry = small_geometry()
    network, features = small_network(geometry, posterior=True), random_features(geometry, [50, 40])
    generator = torch.Generator().manual_seed(3)
    learnt = network(
        features,
        torch.rand(2, geometry.spectrogram_bins, 50, generator=generator),
        torch.randn(2, 16, 50, generator=generator),
        None,
        torch.tensor([5, 10]),
        20,
    )
    assert learnt.sound.shape == (2, 1, 20 * geometry.hop)
    speaker = network.speaker(features.speaker)
    back = network.flow(learnt.z_prior, learnt.mask, speaker, inverse=True)
    torch.testing.assert_close(back, learnt.z, atol=1e-4, rtol=1e-4)


def test_checkpointing_gives_the_same_gradients() -> None:
    geometry = small_geometry()
    network = small_network(geometry).requires_grad_(True)
    z = torch.randn(1, 16, 8, generator=torch.Generator().manual_seed(4))
    source = network.dec.source(torch.full((1, 8), 150.0))
    gradients = []
    for checkpointing in (False, True):
        network.dec.checkpointing = checkpointing
        sound = network.dec(z, source.detach(), network.speaker(torch.tensor([0])))
        parameters = [p for n, p in network.dec.named_parameters() if "m_source" not in n]
        gradients.append(torch.autograd.grad(sound.square().sum(), parameters))
    for plain, checkpointed in zip(*gradients, strict=True):
        assert torch.equal(plain, checkpointed)


def test_slices_begin_where_they_are_told() -> None:
    x = torch.arange(20.0).view(2, 1, 10)
    assert slices(x, torch.tensor([0, 7]), 3).tolist() == [[[0, 1, 2]], [[17, 18, 19]]]
