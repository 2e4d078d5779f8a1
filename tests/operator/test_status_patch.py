"""The status patch: nothing when nothing changed, and always exactly the wanted status."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rvc_operator.runtime.shell import merge_patch

SCALARS = st.integers() | st.text(max_size=3) | st.booleans()
VALUES = st.recursive(
    SCALARS | st.lists(SCALARS, max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, max_size=4),
    max_leaves=6,
)
OBJECTS = st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=4)


def apply_patch(target: Any, patch: Any) -> Any:
    """RFC 7396, as the API server does it."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = apply_patch(result.get(key), value)
    return result


@settings(deadline=None)
@given(OBJECTS, OBJECTS)
def test_the_patch_leads_from_the_old_to_the_new(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert apply_patch(old, merge_patch(old, new)) == new


@settings(deadline=None)
@given(OBJECTS)
def test_no_change_is_no_patch(value: dict[str, Any]) -> None:
    assert merge_patch(value, value) == {}
