"""docs/reference.md says what the API is: it is generated, up to date and complete."""

import pytest

from docs.generate_reference import FILE, REASONS_FILE, anchor, reasons, reference
from rvc_operator.api.reasons import Outcome, Reason

from .objects import fields, schema


def test_the_reference_is_up_to_date() -> None:
    assert FILE.read_text() == reference(), "run `python -m docs.generate_reference`"


def test_the_pages_of_reasons_are_up_to_date() -> None:
    assert REASONS_FILE.read_text() == reasons(), "run `python -m docs.generate_reference`"


@pytest.mark.parametrize("reason", sorted({*Reason, *Outcome}))
def test_every_reason_has_one_page_that_says_what_to_do(reason: str) -> None:
    (page,) = [part for part in REASONS_FILE.read_text().split("\n## ") if part.startswith(f"{reason}\n")]
    assert "**To do:** " in page
    assert f"(reasons.md#{anchor(reason)})" in FILE.read_text()


def test_every_field_is_in_a_table() -> None:
    text = FILE.read_text()
    for kind in ("voicemodel", "conversion"):
        for path, _ in fields(schema(f"{kind}s")):
            parts = path.removesuffix("{}").removesuffix("[]").split(".")
            if parts[1:2] in (["spec"], ["status"]) and len(parts) > 2:
                assert f"\n### {kind}{'.'.join(parts[:-1])}\n" in text, path
                assert f"\n| `{parts[-1]}` |" in text, path
