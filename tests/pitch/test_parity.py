"""`rvc.parity.pitch` on the original's files, and on files that say something else."""

import hashlib
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest
import torch

from rvc.base_models import BASE_MODELS_FOLDER_VARIABLE, BaseModel
from rvc.errors import InvalidConfiguration
from rvc.parity.fill import fill
from rvc.parity.findings import Finding
from rvc.parity.pitch import CHECKS
from rvc.pitch.rmvpe import RMVPE, decode_salience
from rvc.pitch.rmvpe_network import RMVPENetwork, Sizes
from tests.fixtures.parity import parity_file

FILES = ["f0_coarse.npz", "f0_pm.npz", "f0_neural_real_weights.npz", "rmvpe_decode.npz", "rmvpe_small.npz"]


def findings(path: Path) -> list[Finding]:
    check = next(check for pattern, check in CHECKS.items() if fnmatch(path.name, pattern))
    return [found for found in check(path) if isinstance(found, Finding)]


@pytest.mark.parametrize("name", FILES)
def test_numbers_are_the_originals(name, crepe_models):
    found = findings(parity_file(name))
    assert found
    assert [each for each in found if not each.passed] == []


def test_stored_networks_are_known():
    (found,) = findings(parity_file("rmvpe_small.npz").parent.parent / "models" / "rmvpe_small_fp16.pt")
    assert found.passed


@pytest.mark.parametrize(
    ("name", "array", "amount"),
    [
        ("f0_coarse.npz", "coarse", 1),
        ("f0_pm.npz", "f0_raw", 0.1),
        ("rmvpe_decode.npz", "f0_thr003", 0.5),
        ("f0_neural_real_weights.npz", "fcpe_f0", 0.5),
        ("f0_neural_real_weights.npz", "crepe_tiny_f0", 20),
    ],
)
def test_other_numbers_do_not_pass(tmp_path, crepe_models, name, array, amount):
    for sibling in FILES:
        (tmp_path / sibling).symlink_to(parity_file(sibling))
    arrays = dict(np.load(tmp_path / name))
    arrays[array] = arrays[array] + amount
    (tmp_path / name).unlink()
    np.savez(tmp_path / name, **arrays)
    failed = [found.name for found in findings(tmp_path / name) if not found.passed]
    assert any(array in each for each in failed)


def test_missing_networks_say_what_to_fetch(tmp_path, monkeypatch):
    monkeypatch.setenv(BASE_MODELS_FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(InvalidConfiguration, match="rvc fetch-base"):
        findings(parity_file("f0_neural_real_weights.npz"))


def test_the_official_size_by_the_rule_needs_few_arrays(tmp_path):
    (tmp_path / "rmvpe_small.npz").symlink_to(parity_file("rmvpe_small.npz"))
    shapes = {name: tuple(t.shape) for name, t in RMVPENetwork(Sizes()).state_dict().items()}
    tensors = {name: fill(name, shape, 11) for name, shape in shapes.items()}
    names = sorted(shapes)[:3]
    texts = {
        "names": np.array(list(shapes)),
        "sha_names": np.array(names),
        "sha": np.array([hashlib.sha256(tensors[name].numpy().tobytes()).hexdigest() for name in names]),
        "note": np.array("the same wave"),
    }
    tensors["fc.1.weight"] *= 3
    tensors["fc.1.bias"] -= 3
    network = RMVPE(BaseModel("", tensors), torch.device("cpu"))
    salience = network.salience(torch.from_numpy(np.load(tmp_path / "rmvpe_small.npz")["mel"]).float())
    np.savez(tmp_path / "rmvpe_full_rule.npz", salience=salience, f0=decode_salience(salience, 0.03), **texts)
    found = findings(tmp_path / "rmvpe_full_rule.npz")
    assert [each.name for each in found if not each.passed] == []
    assert len(found) == 8


def test_weights_by_the_rule_without_what_they_hear_do_not_pass(tmp_path):
    (tmp_path / "rmvpe_small.npz").symlink_to(parity_file("rmvpe_small.npz"))
    np.savez(tmp_path / "rmvpe_full_rule.npz", sha=np.array("0" * 64))
    with pytest.raises(ValueError, match="no salience and no F0"):
        findings(tmp_path / "rmvpe_full_rule.npz")
