import pytest

from rvc.parity.findings import Finding
from rvc.parity.preparation import CHECKS
from tests.fixtures.parity import parity_file


@pytest.mark.parametrize("name", ["slicer.npz", "preprocess_40k.npz", "bucket_sampler.npz"])
def test_preparation_is_that_of_the_original_or_says_why_not(name: str) -> None:
    path = parity_file(name)
    (check,) = (check for pattern, check in CHECKS.items() if path.match(pattern))
    findings = [found for found in check(path) if isinstance(found, Finding)]
    assert findings
    assert [found for found in findings if not found.passed] == []
