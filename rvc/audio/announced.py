"""How long a file says it is, for the containers that libsndfile silently shortens when they were cut off."""

from __future__ import annotations

import struct
from typing import BinaryIO

_STREAMED = 0x7FFF0000
"""Programs that cannot seek write this size or more, or zero, for a length they do not know."""
_MOST_CHUNKS = 1000
_LARGEST_CHUNK = 1 << 40
_W64_BEGIN = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"


def announced_bytes(file: BinaryIO) -> int | None:
    """Size of the whole file by its header, None for other containers and where the header does not know.

    May be one more than there is: the byte that evens an odd size is often missing.
    """
    head = file.read(24).ljust(24, b"\0")
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return _known(8, *struct.unpack_from("<I", head, 4))
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return _known(8, *struct.unpack_from(">I", head, 4))
    if head[:4] == b".snd":
        return _known(*struct.unpack_from(">II", head, 4))
    if head[:16] == _W64_BEGIN:
        return int(struct.unpack_from("<Q", head, 16)[0])
    if head[:4] == b"caff":
        return _caf_bytes(file)
    return None


def _known(before: int, size: int) -> int | None:
    return before + size if 0 < size < _STREAMED else None


def _caf_bytes(file: BinaryIO) -> int | None:
    """Walks the chunks up to the samples."""
    place = file.seek(8)
    for _ in range(_MOST_CHUNKS):
        header = file.read(12)
        if len(header) < 12:
            return None
        kind, size = struct.unpack(">4sq", header)
        if kind == b"data":
            return place + 12 + int(size) if size > 0 else None
        if not 0 <= size < _LARGEST_CHUNK:
            return None
        place = file.seek(place + 12 + size)
    return None
