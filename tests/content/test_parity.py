"""The features of the original's network, where its fixtures are here."""

from fnmatch import fnmatch

import numpy as np
import pytest

from rvc.parity.content import CHECKS
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
