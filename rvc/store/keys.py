"""What a key may look like."""

from __future__ import annotations

from rvc.errors import InvalidConfiguration

TEMPORARY_PREFIX = ".rvc-partial-"
"""File names that begin so are unfinished; no key may contain one."""


def check_key(key: str) -> None:
    """Raise `InvalidConfiguration` unless `key` is plain path components, none of them a temporary name."""
    if not is_key(key):
        raise InvalidConfiguration(
            f"{key!r} is no object key; write folder/file without '..', '//' or a leading '/'"
        )


def is_key(key: str) -> bool:
    """Whether `key` could name an object of ours, which `check_key` demands."""
    return bool(key) and all(map(_is_plain, key.split("/")))


def check_prefix(prefix: str) -> None:
    """Raise `InvalidConfiguration` unless `prefix` is empty or a folder's key and a final slash."""
    if prefix and not (prefix.endswith("/") and all(map(_is_plain, prefix[:-1].split("/")))):
        raise InvalidConfiguration(
            f"{prefix!r} is no prefix; write folder/ without '..' or '//', with a final '/'"
        )


def _is_plain(component: str) -> bool:
    return (
        component not in ("", ".", "..")
        and "\0" not in component
        and not component.startswith(TEMPORARY_PREFIX)
    )
