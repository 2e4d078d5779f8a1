"""The voice in a training checkpoint."""

from typing import Any

import pytest
import torch

from rvc.community.training_checkpoint import extract_voice, is_training_checkpoint
from rvc.community.voice import read_model
from rvc.errors import ArtifactCorrupt
from rvc.rvc2.geometry import Geometry
from tests.community.models import official_content, small_geometry, small_weights, write_pth

KINDS = [
    ("v2", 32000, True), ("v2", 40000, False), ("v2", 48000, True),
    ("v1", 32000, False), ("v1", 40000, True), ("v1", 48000, False),
]  # fmt: skip


def checkpoint(geometry: Geometry, **changes: Any) -> dict[str, Any]:
    return {
        "model": small_weights(geometry, posterior=True),
        "iteration": 17,
        "optimizer": {"state": {}, "param_groups": [{"lr": 1e-4}]},
        "learning_rate": 1e-4,
    } | changes


@pytest.mark.parametrize(("version", "rate", "f0"), KINDS)
def test_sizes_follow_from_the_weights(tmp_path, version, rate, f0):
    geometry = small_geometry(version, rate, f0)
    path = write_pth(tmp_path / "G_2333333.pth", checkpoint(geometry))
    model = read_model(path)
    assert model.geometry == geometry
    assert model.info == "17epoch"
    expected = small_weights(geometry, posterior=True)
    assert not any("enc_q" in name for name in model.tensors)
    assert all(torch.equal(tensor, expected[name].half()) for name, tensor in model.tensors.items())


def test_a_discriminator_is_no_voice():
    content = {"model": {"discriminators.0.convs.0.bias": torch.zeros(16)}, "iteration": 1}
    with pytest.raises(ArtifactCorrupt, match=r"D_1\.pth holds discriminators"):
        extract_voice(content, 1 << 20, "D_1.pth")


@pytest.mark.parametrize("posterior", [True, False])
def test_pretrained_generators_may_lack_what_only_training_needs(posterior):
    geometry = small_geometry()
    content = {"model": small_weights(geometry, posterior)}
    assert extract_voice(content, 1 << 30, "f0G40k.pth").geometry == geometry


def test_weights_that_fit_no_rate_are_listed():
    content = checkpoint(small_geometry("v1", 48000))
    del content["model"]["dec.ups.4.bias"]
    with pytest.raises(ArtifactCorrupt, match=r"G\.pth do not fit: .*missing"):
        extract_voice(content, 1 << 30, "G.pth")
    content = checkpoint(small_geometry())
    del content["model"]["enc_q.pre.bias"]
    with pytest.raises(ArtifactCorrupt, match=r"1 missing \(enc_q.pre.bias\)"):
        extract_voice(content, 1 << 30, "G.pth")


@pytest.mark.parametrize(
    "weights",
    [
        {"net.weight": torch.zeros(2, 2)},
        {"enc_p.emb_phone.weight": torch.zeros(4)},
        {"enc_p.emb_phone.weight": torch.zeros(8, 100), "emb_g.weight": torch.zeros(2, 2)},
    ],
)
def test_other_networks_are_no_generators(weights):
    with pytest.raises(ArtifactCorrupt, match="no checkpoint of an RVC generator"):
        extract_voice({"model": weights}, 1 << 20, "x.pth")


def test_voices_and_checkpoints_are_told_apart():
    assert is_training_checkpoint(checkpoint(small_geometry()))
    assert not is_training_checkpoint(official_content())
