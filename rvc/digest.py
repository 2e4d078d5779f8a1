"""What is in a file, as digest and size, read in pieces."""

from __future__ import annotations

import hashlib
from pathlib import Path


def sha256_of(path: Path) -> str:
    """The sha256 of a file's content, in hex; raises OSError."""
    return size_and_sha256(path)[1]


def size_and_sha256(path: Path) -> tuple[int, str]:
    """Bytes and sha256 (in hex) of what was read of a file; raises OSError."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return file.tell(), sha256
