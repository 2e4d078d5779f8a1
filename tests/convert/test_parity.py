from pathlib import Path

import numpy as np
import pytest

from rvc.parity.conversion import CHECKS
from rvc.parity.findings import Deviation, Finding
from tests.fixtures.parity import parity_file


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("*.index", "added_IVF23_Flat_nprobe_1_fixture_v2.index"),
        ("retrieval*.npz", "retrieval.npz"),
        ("vc_features*.npz", "vc_features.npz"),
        ("change_rms*.npz", "change_rms.npz"),
        ("pipeline*.npz", "pipeline.npz"),
    ],
)
def test_it_is_what_the_original_gives(pattern: str, name: str) -> None:
    findings = list(CHECKS[pattern](parity_file(name)))
    assert any(isinstance(finding, Finding) for finding in findings)
    for finding in findings:
        assert isinstance(finding, Deviation) or finding.passed, finding


@pytest.mark.parametrize("change", [-1, 1])
def test_sound_of_another_speaker_or_key_is_found_out(tmp_path: Path, change: int) -> None:
    original = parity_file("pipeline.npz")
    for folder in ("models", "data"):
        (tmp_path / folder).mkdir()
        for file in (original.parent.parent / folder).iterdir():
            (tmp_path / folder / file.name).symlink_to(file)
    arrays = dict(np.load(original))
    arrays["params_single"][8] += change
    copy = tmp_path / "data" / "pipeline.npz"
    copy.unlink()
    np.savez(copy, **arrays)
    failed = [
        one.name for one in CHECKS["pipeline*.npz"](copy) if isinstance(one, Finding) and not one.passed
    ]
    assert failed == ["out_single"]
