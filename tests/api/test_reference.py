"""docs/reference.md says what the API is: it is generated, up to date and complete."""

from docs.generate_reference import FILE, reference

from .objects import fields, schema


def test_the_reference_is_up_to_date() -> None:
    assert FILE.read_text() == reference(), "run `python -m docs.generate_reference`"


def test_every_field_is_in_a_table() -> None:
    text = FILE.read_text()
    for kind in ("voicemodel", "conversion"):
        for path, _ in fields(schema(f"{kind}s")):
            parts = path.removesuffix("{}").removesuffix("[]").split(".")
            if parts[1:2] in (["spec"], ["status"]) and len(parts) > 2:
                assert f"\n### {kind}{'.'.join(parts[:-1])}\n" in text, path
                assert f"\n| `{parts[-1]}` |" in text, path
