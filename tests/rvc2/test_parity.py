"""RVC2 against numbers of the original, and the checks themselves on files of other kinds."""

import hashlib
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest
import torch

from rvc.parity import synthesizers, training
from rvc.parity.fill import fill, fill_synthesizer, normal, symmetric, uniform
from rvc.parity.findings import Deviation, Finding
from rvc.parity.synthesizers import named_geometry
from rvc.rvc2.network import Excerpt, Network
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


def saved_model(folder: Path, name: str, speakers: int = 4) -> Network:
    geometry = named_geometry(name).with_speakers(speakers)
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


def assert_all_passed(findings: list[Finding | Deviation]) -> None:
    assert findings
    assert [finding for finding in findings if isinstance(finding, Deviation) or not finding.passed] == []


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
    assert_all_passed(findings)


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


def test_a_sound_whose_name_does_not_tell_its_noise_is_checked(tmp_path: Path) -> None:
    network = saved_model(tmp_path, "small_v2_f0_40k", speakers=7)
    arrays = inputs(network, 20)
    arrays["noise_prior"] = normal("prior", (1, 32, 20)).numpy()
    arrays["noise_sine"] = normal("sine", (1, 20 * 400, 1)).numpy()
    noise = [torch.from_numpy(arrays[name]) for name in ("noise_prior", "noise_sine")]
    features = synthesizers.features_of(arrays)
    with torch.inference_mode():
        arrays["out_a"] = network.infer(features).numpy()
        arrays["out_b"] = network.infer(features, noise[0], noise[1][:, :, 0]).numpy().astype(np.float16)
    path = tmp_path / "data" / "infer_small_v2_f0_40k.npz"
    np.savez(path, **arrays)
    assert_all_passed(findings_of(path) + findings_of(tmp_path / "models" / "small_v2_f0_40k.pth"))


def test_streaming_is_checked_with_its_own_inputs_too(tmp_path: Path) -> None:
    network = saved_model(tmp_path, "small_v1_f0_32k")
    arrays = inputs(network, 60)
    sizes = {"skip_head": 30, "return_length": 20, "return_length2_a": 20, "return_length2_b": 23}
    for name in ("a", "b"):
        excerpt = Excerpt(30, 20, sizes[f"return_length2_{name}"])
        with torch.inference_mode():
            sound = network.infer(synthesizers.features_of(arrays), excerpt=excerpt)
        arrays[f"out_{name}"] = sound.numpy()
    path = tmp_path / "data" / "infer_small_v1_f0_32k_realtime.npz"
    np.savez(path, **arrays, **sizes)
    assert_all_passed(findings_of(path))


def test_an_official_size_by_the_rule_needs_few_arrays(tmp_path: Path) -> None:
    """Full size, therefore few frames."""
    geometry = named_geometry("full_v2_f0_40k")
    weights = fill_synthesizer(state_shapes(geometry), 4.0)
    network = Network(geometry)
    load_state(network, {name: tensor.half() for name, tensor in weights.items()})
    arrays = {"nsff0": np.array([[0, 0, 120, 130, 140, 150]], np.float32)}
    told = arrays | {"phone": 0.5 * normal("full_v2_40k/phone", (1, 6, 768)).numpy(), "sid": np.array([5])}
    noise = normal("full_v2_40k/0", (1, 192, 6)), normal("full_v2_40k/1", (1, 2400))
    with torch.inference_mode():
        arrays["out"] = network.infer(synthesizers.features_of(told), *noise).numpy()
    whole = hashlib.sha256(b"".join(weights[name].half().numpy().tobytes() for name in sorted(weights)))
    arrays["sha_all"], arrays["sha_other"] = np.array(whole.hexdigest()), np.array("0" * 64)
    arrays["sha_names"], arrays["count"] = np.array(["emb_g.weight"]), np.array(27537346)
    path = tmp_path / "infer_full_v2_f0_40k_rule.npz"
    np.savez(path, **arrays)
    *passed, sound = findings_of(path)
    assert [finding.name for finding in passed if isinstance(finding, Finding)] == ["sha_all"]
    assert [finding.name for finding in passed if isinstance(finding, Deviation)] == ["sha_other"]
    assert_all_passed([sound])
