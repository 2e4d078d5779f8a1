"""Names, shapes and numbers of weights are those of the community's files; loading accepts nothing else."""

import pytest
import torch

from rvc.errors import ArtifactCorrupt
from rvc.rvc2.discriminators import Discriminators
from rvc.rvc2.geometry import Geometry, Version
from rvc.rvc2.layers import fold_weight_norm
from rvc.rvc2.network import Network
from rvc.rvc2.state import load_state, shapes_of, state_shapes
from tests.rvc2.small import small_geometry, small_network


def parameters_of(version: Version, rate: int, f0: bool, posterior: bool) -> int:
    shapes = state_shapes(Geometry.official(version, rate, f0), posterior)
    return sum(torch.Size(shape).numel() for shape in shapes.values())


@pytest.mark.parametrize(
    ("version", "rate", "f0", "trained", "converting"),
    [
        ("v2", 40000, True, 36_458_818, 27_537_346),
        ("v2", 48000, True, 37_638_466, 28_716_994),
        ("v2", 32000, True, 36_880_706, 28_057_538),
        ("v2", 40000, False, 36_387_392, 27_465_920),
        ("v2", 48000, False, 37_567_040, 28_645_568),
        ("v1", 40000, True, 36_360_514, 27_439_042),
        ("v1", 48000, True, 36_400_834, 27_479_362),
        ("v1", 32000, True, 36_294_338, 27_471_170),
    ],
)
def test_official_sizes(version: Version, rate: int, f0: bool, trained: int, converting: int) -> None:
    assert parameters_of(version, rate, f0, posterior=True) == trained
    assert parameters_of(version, rate, f0, posterior=False) == converting


@pytest.mark.parametrize(
    ("version", "rate", "f0", "keys"),
    [("v2", 40000, True, 457), ("v2", 40000, False, 446), ("v1", 48000, True, 516), ("v1", 32000, True, 516)],
)
def test_official_keys(version: Version, rate: int, f0: bool, keys: int) -> None:
    shapes = state_shapes(Geometry.official(version, rate, f0))
    assert len(shapes) == keys
    assert len(state_shapes(Geometry.official(version, rate, f0), posterior=True)) == keys + 103
    assert next(iter(shapes)).startswith("enc_p." if version == "v1" else "dec.")


def test_some_official_shapes() -> None:
    shapes = state_shapes(Geometry.official("v2", 32000, True), posterior=True)
    assert shapes["dec.noise_convs.0.weight"] == (256, 1, 64)
    assert shapes["dec.ups.0.weight_v"] == (512, 256, 20)
    assert shapes["dec.ups.0.weight_g"] == (512, 1, 1)
    assert shapes["enc_q.pre.weight"] == (192, 513, 1)
    assert shapes["enc_q.enc.cond_layer.weight_v"] == (6144, 256, 1)
    assert shapes["enc_p.encoder.attn_layers.5.emb_rel_v"] == (1, 21, 96)
    v1 = state_shapes(Geometry.official("v1", 48000, True))
    assert v1["enc_p.emb_phone.weight"] == (192, 256)
    assert [v1[f"dec.noise_convs.{i}.weight"][2] for i in range(5)] == [96, 16, 8, 4, 1]
    assert v1["dec.conv_post.weight"] == (1, 16, 7)


def test_folded_size() -> None:
    with torch.device("meta"):
        network = Network(Geometry.official("v2", 40000, True))
    fold_weight_norm(network)
    assert sum(parameter.numel() for parameter in network.parameters()) == 27_514_690


@pytest.mark.parametrize(
    ("version", "keys", "parameters"), [("v1", 129, 54_968_286), ("v2", 165, 71_410_594)]
)
def test_official_discriminators(version: Version, keys: int, parameters: int) -> None:
    with torch.device("meta"):
        state = Discriminators(version).state_dict()
    assert len(state) == keys
    assert sum(tensor.numel() for tensor in state.values()) == parameters
    assert state["discriminators.0.convs.4.weight_v"].shape == (1024, 4, 41)
    assert state["discriminators.1.convs.4.weight_g"].shape == (1024, 1, 1, 1)


def test_halves_load_and_come_back() -> None:
    network = small_network(small_geometry())
    halves = {name: tensor.half() for name, tensor in network.state_dict().items()}
    load_state(network, halves)
    assert all(torch.equal(tensor.half(), halves[name]) for name, tensor in network.state_dict().items())


def test_everything_that_does_not_fit_is_listed() -> None:
    network = small_network(small_geometry())
    tensors = network.state_dict()
    del tensors["emb_g.weight"], tensors["dec.conv_post.weight"]
    tensors["dec.cond.bias"] = torch.zeros(7)
    tensors["vocoder.extra"] = torch.zeros(1)
    with pytest.raises(ArtifactCorrupt) as error:
        load_state(network, tensors)
    assert "2 missing (dec.conv_post.weight, emb_g.weight)" in str(error.value)
    assert "1 unexpected (vocoder.extra)" in str(error.value)
    assert "dec.cond.bias [7] instead of [32]" in str(error.value)


def test_a_long_list_is_cut_short() -> None:
    network = small_network(small_geometry())
    with pytest.raises(ArtifactCorrupt, match=r"\d+ missing \(.* and \d+ more\)") as error:
        load_state(network, {})
    assert len(str(error.value)) < 1000


def test_a_voice_of_another_kind_does_not_load() -> None:
    tensors = small_network(small_geometry("v2")).state_dict()
    with pytest.raises(ArtifactCorrupt, match=r"enc_p\.emb_phone\.weight"):
        load_state(small_network(small_geometry("v1")), tensors)


def test_shapes_are_those_of_a_real_network() -> None:
    geometry = small_geometry("v1", 48000)
    network = small_network(geometry, posterior=True)
    assert list(state_shapes(geometry, posterior=True).items()) == list(
        shapes_of(network.state_dict()).items()
    )
