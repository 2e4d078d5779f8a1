"""RVC2 against numbers of the original, and the checks themselves on files of other kinds."""

from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest
import torch

from rvc.parity import synthesizers, training
from rvc.parity.fill import fill, fill_synthesizer, normal, symmetric, uniform
from rvc.parity.findings import Deviation, Finding
from rvc.parity.synthesizers import named_geometry
from rvc.rvc2.network import Network
from rvc.rvc2.state import load_state, state_shapes
from tests.fixtures.parity import parity_file

CHECKS = {**synthesizers.CHECKS, **training.CHECKS}
FILES = [
    "data/infer_small_v1_f0_48k.npz",
    "data/infer_small_v2_f0_40k.npz",
    "data/infer_small_v2_f0_48k.npz",
    "data/infer_small_v2_f0_48k_realtime.npz",
    "data/infer_small_v2_nof0_48k.npz",
    "data/sine_source.npz",
    "data/train_mel.npz",
    "data/train_step_small_v2_f0_48k.npz",
    "models/small_v1_f0_48k.pth",
    "models/small_v2_f0_40k.pth",
    "models/small_v2_f0_48k.pth",
    "models/small_v2_nof0_48k.pth",
]


def findings_of(path: Path) -> list[Finding | Deviation]:
    check = next(check for pattern, check in CHECKS.items() if fnmatch(path.name, pattern))
    return list(check(path))


@pytest.mark.parametrize("name", FILES)
def test_fixture(name: str) -> None:
    findings = findings_of(parity_file(f"../{name}"))
    assert findings
    assert [finding for finding in findings if isinstance(finding, Deviation) or not finding.passed] == []


def splitmix(key: str, count: int, seed: int) -> list[float]:
    """The rule, one number at a time."""
    state = 0xCBF29CE484222325
    for byte in key.encode():
        state = ((state ^ byte) * 0x100000001B3) & (2**64 - 1)
    state, numbers = state + seed, []
    for i in range(1, count + 1):
        z = (state + i * 0x9E3779B97F4A7C15) % 2**64
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        numbers.append(((z ^ (z >> 31)) >> 11) / 2**53)
    return numbers


def test_the_rule_is_computed_as_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rvc.parity.fill._GENERATED_AT_ONCE", 7)
    assert uniform("a.weight", 20, 11).tolist() == splitmix("a.weight", 20, 11)
    numbers = np.array(splitmix("x", 24, 0))
    assert symmetric("x", (4, 6)).ravel().tolist() == (2 * numbers - 1).tolist()
    assert normal("x", (2,)).tolist() == pytest.approx((numbers.reshape(2, 12).sum(1) - 6).tolist())


@pytest.mark.parametrize(
    ("name", "shape", "scale", "offset"),
    [
        ("a.weight_g", (2, 1, 1), 0.25, 1),
        ("a.weight_v", (2, 3, 4), (3 / 12) ** 0.5, 0),
        ("a.weight", (3,), 0.25, 1),
        ("a.weight_ih_l0", (4, 3), 1, 0),
        ("a.bias_ih_l0", (4,), 0.05, 0),
        ("a.running_var", (4,), 0.25, 1),
        ("a.emb_rel_k", (1, 3, 4), 0.2, 0),
        ("emb_g.weight", (4, 3), 1, 0),
        ("a.other", (4,), 1, 0),
    ],
)
def test_the_rule_scales_weights_by_their_names(
    name: str, shape: tuple[int, ...], scale: float, offset: float
) -> None:
    expected = offset + scale * symmetric(name, shape)
    np.testing.assert_allclose(fill(name, shape), expected, atol=1e-7)


def saved_model(folder: Path, name: str) -> Network:
    geometry = named_geometry(name)
    weights = fill_synthesizer(state_shapes(geometry), 3.0, seed=5)
    halves = {key: tensor.half() for key, tensor in weights.items()}
    file = {
        "weight": halves,
        "config": geometry.to_config(),
        "info": "1epoch",
        "sr": f"{geometry.sample_rate_hertz // 1000}k",
        "f0": int(geometry.f0),
        "version": geometry.version,
    }
    (folder / "models").mkdir()
    (folder / "data").mkdir()
    torch.save(file, folder / "models" / f"{name}.pth")
    network = Network(geometry)
    load_state(network, halves)
    return network.eval()


def inputs(network: Network, frames: int, items: int = 1) -> dict[str, np.ndarray]:
    geometry, random = network.geometry, np.random.default_rng(0)
    arrays = {
        "phone": random.normal(size=(items, frames, geometry.content_dimension)).astype(np.float32),
        "lengths": np.array([frames, frames // 2][:items]),
        "sid": np.arange(items),
    }
    if geometry.f0:
        arrays["pitch"] = random.integers(1, 256, (items, frames))
        arrays["nsff0"] = random.uniform(0, 400, (items, frames)).astype(np.float32)
    return arrays


@pytest.mark.parametrize("model", ["small_v2_f0_32k", "small_v1_nof0_40k"])
def test_models_of_other_kinds_are_checked(model: str, tmp_path: Path) -> None:
    network = saved_model(tmp_path, model)
    arrays = inputs(network, 30, items=2)
    with torch.inference_mode():
        arrays["out"] = network.infer(synthesizers.features_of(arrays)).numpy()
    path = tmp_path / "data" / f"infer_{model}_batch2.npz"
    np.savez(path, **arrays)
    findings = findings_of(path) + findings_of(tmp_path / "models" / f"{model}.pth")
    assert len(findings) == 4
    assert all(isinstance(finding, Finding) and finding.passed for finding in findings)


def test_a_wrong_sound_is_found(tmp_path: Path) -> None:
    network = saved_model(tmp_path, "small_v2_f0_40k")
    arrays = inputs(network, 20)
    with torch.inference_mode():
        arrays["out_zero"] = network.infer(synthesizers.features_of(arrays)).numpy() + np.float32(1e-3)
    path = tmp_path / "data" / "infer_small_v2_f0_40k.npz"
    np.savez(path, **arrays)
    (finding,) = findings_of(path)
    assert isinstance(finding, Finding)
    assert not finding.passed


def test_a_file_without_a_sound_does_not_pass(tmp_path: Path) -> None:
    network = saved_model(tmp_path, "small_v2_nof0_32k")
    path = tmp_path / "data" / "infer_small_v2_nof0_32k.npz"
    np.savez(path, **inputs(network, 20))
    with pytest.raises(ValueError, match="no sound"):
        findings_of(path)
