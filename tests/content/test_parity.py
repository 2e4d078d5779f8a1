"""The features of the original's network, where its fixtures are here."""

from fnmatch import fnmatch

import numpy as np
import pytest

from rvc.errors import InvalidConfiguration
from rvc.parity.content import CHECKS
from rvc.parity.findings import Finding
from tests.fixtures.parity import parity_file


@pytest.mark.parametrize(
    "name", ["hubert_tiny.npz", "../models/hubert_tiny.safetensors", "../models/hubert_tiny_config.json"]
)
def test_our_network_is_the_originals(name):
    path = parity_file(name).resolve()
    (check,) = [check for pattern, check in CHECKS.items() if fnmatch(path.name, pattern)]
    findings = list(check(path))
    assert findings
    assert all(finding.passed for finding in findings), findings


def test_another_recording_is_noticed(tmp_path):
    source = parity_file("hubert_tiny.npz").resolve()
    with np.load(source) as arrays:
        changed = dict(arrays) | {"wave": arrays["wave"][::-1].copy()}
    (tmp_path / "data").mkdir()
    (tmp_path / "models").symlink_to(source.parent.parent / "models")
    np.savez(tmp_path / "data" / "hubert_tiny.npz", **changed)
    findings = list(CHECKS["hubert_*.npz"](tmp_path / "data" / "hubert_tiny.npz"))
    assert sorted(finding.name for finding in findings) == [
        "conv_features", "hidden0", "hidden12", "hidden9", "v1", "v2",
    ]  # fmt: skip
    assert not any(finding.passed for finding in findings)


def test_arrays_of_unknown_names_are_missed(tmp_path):
    source = parity_file("hubert_tiny.npz").resolve()
    with np.load(source) as arrays:
        kept = {name: arrays[name] for name in ("wave", "v2")}
    (tmp_path / "data").mkdir()
    (tmp_path / "models").symlink_to(source.parent.parent / "models")
    np.savez(tmp_path / "data" / "hubert_tiny.npz", **kept, sha_wave=np.array("0" * 64))
    compared, other = CHECKS["hubert_*.npz"](tmp_path / "data" / "hubert_tiny.npz")
    assert compared.passed
    assert isinstance(other, Finding)
    assert not other.passed
    assert other.name.startswith("sha_wave (nothing here computes")
    with pytest.raises(InvalidConfiguration, match=r"hubert_wide\.safetensors"):
        list(CHECKS["hubert_*.npz"](tmp_path / "data" / "hubert_wide.npz"))
