"""The checksum OSS gives for objects, CRC-64/XZ, for a server that needs nothing but Python."""

from __future__ import annotations

import ctypes
from functools import cache

_REFLECTED_POLYNOMIAL = 0xC96C5795D7870F42
_ONES = 0xFFFFFFFFFFFFFFFF


def crc64(data: bytes, value: int = 0) -> int:
    """The checksum of `data`, or of what `value` is the checksum of and then `data`."""
    library = _liblzma()
    return library.lzma_crc64(data, len(data), value) if library else slow_crc64(data, value)


def slow_crc64(data: bytes, value: int = 0) -> int:
    """The same byte by byte."""
    table = _table()
    value ^= _ONES
    for byte in data:
        value = table[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ _ONES


@cache
def _liblzma() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL("liblzma.so.5")
    except OSError:
        return None
    library.lzma_crc64.restype = ctypes.c_uint64
    library.lzma_crc64.argtypes = (ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64)
    return library


@cache
def _table() -> tuple[int, ...]:
    def entry(value: int) -> int:
        for _ in range(8):
            value = (value >> 1) ^ (_REFLECTED_POLYNOMIAL if value & 1 else 0)
        return value

    return tuple(map(entry, range(256)))
