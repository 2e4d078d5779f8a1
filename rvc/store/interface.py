"""What every kind of storage can do; the semantics are those of object stores.

Keys are paths without a leading slash; folders exist only as prefixes of keys. A prefix is empty or ends in
`/`, so that `voices/ann/` never matches `voices/anna/`. All methods raise `PermissionDenied` and
`StoreUnavailable`, and `InvalidConfiguration` for a key that is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class ObjectInfo:
    """An object as a listing shows it."""

    key: str
    size: int
    """Bytes."""
    etag: str
    """Another text whenever the content may be another."""


class Store(Protocol):
    """A place for objects."""

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Objects below a prefix in the order of their keys, none if there are none; lazily."""

    def stat(self, key: str) -> ObjectInfo | None:
        """The object, None if it does not exist."""

    def download(self, key: str, path: Path) -> ObjectInfo:
        """Bring an object to a local file, whole or not at all; which version of it that is.

        Raises `ObjectNotFound`.
        """

    def upload(self, path: Path, key: str, *, overwrite: bool = True) -> ObjectInfo:
        """Publish a local file, verified by size and sha256.

        Without `overwrite` an object that exists stays: the same content is success, other content raises
        `ObjectExists`.
        """

    def holds(self, key: str, path: Path) -> bool:
        """Whether an object is there with the content of a local file."""

    def read_bytes(self, key: str) -> bytes:
        """Content of a small object; raises `ObjectNotFound`."""

    def write_bytes(self, key: str, data: bytes, *, overwrite: bool = True) -> ObjectInfo:
        """Publish a small object, as `upload` does."""

    def delete(self, key: str) -> None:
        """Remove an object; no error if it does not exist."""

    def presigned_url(self, key: str, seconds: int) -> str:
        """A link with which anybody may read an object for so long; raises `InvalidConfiguration` where there
        is no such thing."""

    def sweep(self, prefix: str, older_than: float) -> int:
        """Remove what killed uploads left below a prefix, last written before `older_than` (Unix time); how
        many."""
