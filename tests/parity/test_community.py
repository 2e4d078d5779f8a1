"""Files of the community that the original wrote."""

import pytest

from rvc.parity.community import check_index, check_merge, check_model
from rvc.parity.findings import Check, Deviation
from tests.community.models import official_content, parity_models, write_index, write_pth
from tests.fixtures.parity import parity_file


def assert_passes(check: Check, path) -> None:
    findings = list(check(path))
    assert findings
    assert [finding for finding in findings if not finding.passed] == []


@pytest.mark.parametrize("path", parity_models(), ids=lambda path: path.stem)
def test_voices_of_the_original_are_written_as_they_were(path):
    assert_passes(check_model, path)


def test_voices_are_merged_as_the_original_does():
    assert_passes(check_merge, parity_file("merge.npz"))


def test_the_index_of_the_original_is_written_as_it_was():
    assert_passes(check_index, parity_file("added_IVF23_Flat_nprobe_1_fixture_v2.index"))


def test_what_is_not_written_as_it_was_is_missed(tmp_path):
    def missed(name: str, **changes: object) -> set[str]:
        path = write_pth(tmp_path / f"{name}.pth", official_content(**changes))
        return {finding.name for finding in check_model(path) if not finding.passed}

    full = {name: tensor.float() for name, tensor in official_content()["weight"].items()}
    assert missed("same") == set()
    assert missed("rate", sr=40000) == {"sr"}
    assert missed("flag", f0=True) == {"f0"}
    assert missed("more", author="x") == {"keys in order"}
    assert missed("full", weight=full) == {"weight: types and shapes", "weight: bits"}
    assert missed("order", weight=dict(reversed(full.items()))) >= {"weight: names in order"}


def test_an_index_with_other_probes_is_written_with_those_of_the_community(tmp_path):
    deviation, rows = check_index(write_index(tmp_path / "a.index", probes=3))
    assert isinstance(deviation, Deviation)
    assert rows.passed
