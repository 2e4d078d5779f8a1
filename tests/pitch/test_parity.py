"""`rvc.parity.pitch` on the original's files, and on files that say something else."""

from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest

from rvc.base_models import BASE_MODELS_FOLDER_VARIABLE
from rvc.errors import InvalidConfiguration
from rvc.parity.findings import Finding
from rvc.parity.pitch import CHECKS
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
