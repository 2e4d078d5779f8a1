import math
from collections.abc import Iterator

import pytest
import torch

from rvc import convolution
from rvc.device import PRECISION_VARIABLE, conversion_type
from rvc.errors import InvalidConfiguration
from rvc.rvc2 import inference_decoder
from rvc.rvc2.geometry import Version
from rvc.rvc2.inference_decoder import InferenceDecoder
from rvc.rvc2.layers import fold_weight_norm
from rvc.rvc2.network import Network
from tests.rvc2.small import random_features, small_geometry, small_network

FRAMES = 60
KINDS: list[tuple[Version, int, bool]] = [
    ("v1", 48000, True),
    ("v2", 32000, True),
    ("v2", 40000, True),
    ("v2", 48000, False),
]
BFLOAT16_DECIBELS = -25.0
"""Most that may differ, relative to the sound. It is -40 for networks of the official sizes; these have four
channels where those have thirty-two, over which roundings cancel."""


def lively_network(version: Version, rate: int, f0: bool) -> Network:
    """One whose sound is not nearly constant."""
    network = small_network(small_geometry(version, rate, f0))
    fold_weight_norm(network)
    for name, weight in network.dec.named_parameters():
        if name.endswith("weight") and not name.startswith("m_source"):
            weight *= 1.5
    return network


def inputs(network: Network) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    geometry = network.geometry
    z = torch.randn(1, geometry.inter_channels, FRAMES, generator=generator)
    noise = torch.randn(1, FRAMES * geometry.hop, generator=generator)
    f0 = 100 + 200 * torch.rand(1, FRAMES, generator=generator)
    speaker = torch.randn(1, geometry.speaker_channels, 1, generator=generator)
    return z, network.dec.source(f0, noise), speaker


def decibels(difference: torch.Tensor, sound: torch.Tensor) -> float:
    """Power of a difference relative to a sound without its mean."""
    power = float(difference.square().mean() / sound.var())
    return 10 * math.log10(power) if power else -math.inf


@pytest.fixture(params=KINDS, ids=lambda kind: "-".join(map(str, kind)))
def network(request: pytest.FixtureRequest) -> Iterator[Network]:
    with torch.inference_mode():
        yield lively_network(*request.param)


def test_in_float32_it_is_the_plain_decoder(network: Network) -> None:
    given = inputs(network)
    plain = network.dec.in_blocks(*given, FRAMES)
    fast = InferenceDecoder(network.dec, torch.float32).in_blocks(*given, FRAMES)
    assert decibels(fast - plain, plain) < -100


def test_in_bfloat16_it_sounds_like_the_plain_decoder(network: Network) -> None:
    given = inputs(network)
    plain = network.dec.in_blocks(*given, FRAMES)
    fast = InferenceDecoder(network.dec, torch.bfloat16).in_blocks(*given, FRAMES)
    assert -80 < decibels(fast - plain, plain) < BFLOAT16_DECIBELS


def test_the_sound_does_not_depend_on_how_it_is_cut(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, decoder = inputs(network), InferenceDecoder(network.dec, torch.float32)
    whole = decoder.in_blocks(*given, FRAMES)
    monkeypatch.setattr(inference_decoder, "_STRIP_VALUES", 2000)
    for block_frames in (1, 17, FRAMES):
        cut = decoder.in_blocks(*given, block_frames)
        assert decibels(cut - whole, whole) < -100


def test_without_fused_operators_it_is_the_same(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    given = inputs(network)
    whole = InferenceDecoder(network.dec, torch.float32).in_blocks(*given, FRAMES)
    monkeypatch.setattr(convolution, "_fuses", lambda computes_in: False)
    other = InferenceDecoder(network.dec, torch.float32).in_blocks(*given, FRAMES)
    assert decibels(other - whole, whole) < -100


@pytest.mark.parametrize(("computes_in", "most"), [(torch.float32, -100.0), (torch.bfloat16, -35.0)])
def test_prior_and_flow_give_nearly_the_same_latents(
    network: Network, computes_in: torch.dtype, most: float
) -> None:
    features = random_features(network.geometry, [FRAMES])
    plain = network.latents(features)
    network.pack(computes_in)
    assert -140 < decibels(network.latents(features) - plain, plain) < most


def test_a_voice_can_be_converted_in_full_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    monkeypatch.setenv(PRECISION_VARIABLE, "FP32")
    assert conversion_type(cpu) == torch.float32
    monkeypatch.setenv(PRECISION_VARIABLE, "BF16")
    assert conversion_type(cpu) == torch.bfloat16
    monkeypatch.setenv(PRECISION_VARIABLE, "FP16")
    with pytest.raises(InvalidConfiguration, match="FP16"):
        conversion_type(cpu)
