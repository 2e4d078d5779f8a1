"""The `.index` of a voice: a faiss file, followed byte by byte before faiss gets to see it.

faiss believes what a file says of its lengths, and a file may even tell it to open another one. RVC programs
all write the same kind of index, `IVF<n>,Flat` by Euclidean distance, and that layout is short; so files of
this kind (and of plain `Flat`) are checked completely, and others are refused by name.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from rvc.errors import ArtifactCorrupt, ObjectNotFound

COMMUNITY_PROBES = 1
MOST_BYTES = 4 << 30
_LONGEST_DIMENSION = 1 << 14
_EUCLIDEAN = 1
_NO_MAP, _ARRAY_MAP = 0, 1
_ROW_NUMBER_BYTES = 8


@dataclass(frozen=True)
class IndexFile:
    """A checked index."""

    content: bytes
    rows: int
    dimension: int
    cells: int
    """0 for an index without cells."""
    probes: int
    """Cells that a query looks into; the file's own word."""


def read_index(path: Path) -> IndexFile:
    """Read and check an index file; raises ObjectNotFound and ArtifactCorrupt."""
    if not path.is_file():
        raise ObjectNotFound(f"{path} is not there, or no file; name an index file (.index)")
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise ArtifactCorrupt(f"{path} has {size} bytes; an index of an RVC voice has at most {MOST_BYTES}")
    return check_index(path.read_bytes(), str(path))


def check_index(content: bytes, shown: str) -> IndexFile:
    """The index in a file's content, `shown` in messages; raises ArtifactCorrupt."""
    try:
        return _Walk(content).index()
    except (_Damaged, struct.error) as error:
        raise ArtifactCorrupt(
            f"{shown} is no index of an RVC voice, or damaged ({error}); RVC programs write `IVF<n>,Flat` "
            "files of faiss"
        ) from error


def community_index(content: bytes, name: str, version: str) -> tuple[str, bytes]:
    """Name and content of the file that RVC programs look for, with their number of probes written in it.

    `content` is a checked index, `name` the voice's.
    """
    index = faiss.deserialize_index(np.frombuffer(content, np.uint8))
    if not isinstance(index, faiss.IndexIVF):
        return f"added_Flat_{name}_{version}.index", content
    if index.nprobe != COMMUNITY_PROBES:
        index.nprobe = COMMUNITY_PROBES
        content = bytes(faiss.serialize_index(index))
    return f"added_IVF{index.nlist}_Flat_nprobe_{COMMUNITY_PROBES}_{name}_{version}.index", content


class _Damaged(Exception):
    pass


class _Walk:
    """Follows faiss's layout: a four-letter kind, a header, and arrays that state their length first."""

    def __init__(self, content: bytes) -> None:
        self._file = content
        self._content = memoryview(content)
        self._position = 0

    def index(self) -> IndexFile:
        kind = self._kind()
        if kind == "IwFl":
            found = self._inverted_file()
        elif kind in ("IxF2", "IxFl"):
            rows, dimension = self._flat()
            found = IndexFile(self._file, rows, dimension, 0, 0)
        else:
            raise _Damaged(f"an index of the kind {kind!r}, which is not read")
        if self._position != len(self._content):
            raise _Damaged(f"{len(self._content) - self._position} bytes after its end")
        if found.rows == 0:
            raise _Damaged("an index without rows, such as `trained_...`; the one to use is `added_...`")
        return found

    def _inverted_file(self) -> IndexFile:
        rows, dimension = self._header()
        cells, probes = self._numbers("QQ")
        if self._kind() not in ("IxF2", "IxFl") or self._flat() != (cells, dimension):
            raise _Damaged("its cells have no centres of their own")
        if probes < 1:
            raise _Damaged("queries would look into no cell")
        (map_kind,) = self._numbers("B")
        if map_kind not in (_NO_MAP, _ARRAY_MAP):
            raise _Damaged("a map of row numbers of an unknown kind")
        self._array(_ROW_NUMBER_BYTES)
        if self._kind() != "ilar":
            raise _Damaged("rows that are not in the file itself")
        if self._numbers("QQ") != (cells, 4 * dimension):
            raise _Damaged("cells or rows of another size than it says")
        sizes = self._cell_sizes(cells)
        if int(sizes.sum()) != rows:
            raise _Damaged(f"{int(sizes.sum())} rows in its cells, {rows} according to its header")
        for size in sizes[sizes > 0].tolist():
            self._floats(size * dimension)
            self._take(size * _ROW_NUMBER_BYTES)
        return IndexFile(self._file, rows, dimension, cells, probes)

    def _cell_sizes(self, cells: int) -> NDArray[np.uint64]:
        layout = self._kind()
        stated = np.frombuffer(self._array(_ROW_NUMBER_BYTES), np.uint64)
        if (stated > len(self._content)).any():
            raise _Damaged("cells larger than the file")
        if layout == "full" and len(stated) == cells:
            return stated
        if layout == "sprs" and len(stated) % 2 == 0:
            numbers, sizes = stated[::2], stated[1::2]
            if (numbers < cells).all() and len(np.unique(numbers)) == len(numbers):
                return sizes[np.argsort(numbers)]
        raise _Damaged("a list of cells that does not make sense")

    def _flat(self) -> tuple[int, int]:
        rows, dimension = self._header()
        (count,) = self._numbers("Q")
        if count != rows * dimension:
            raise _Damaged(f"{count} numbers for {rows} rows of {dimension}")
        self._floats(count)
        return rows, dimension

    def _header(self) -> tuple[int, int]:
        dimension, rows, _, _, trained, metric = self._numbers("iqqqBi")
        if not 0 < dimension <= _LONGEST_DIMENSION or not 0 <= rows <= len(self._content):
            raise _Damaged(f"{rows} rows of {dimension} numbers")
        if trained != 1 or metric != _EUCLIDEAN:
            raise _Damaged("it is not trained" if trained != 1 else "it does not measure Euclidean distance")
        return rows, dimension

    def _kind(self) -> str:
        return bytes(self._take(4)).decode("latin-1")

    def _numbers(self, layout: str) -> tuple[int, ...]:
        return struct.unpack("<" + layout, self._take(struct.calcsize("<" + layout)))

    def _array(self, item_bytes: int) -> memoryview:
        (count,) = self._numbers("Q")
        return self._take(count * item_bytes)

    def _floats(self, count: int) -> None:
        if not np.isfinite(np.frombuffer(self._take(4 * count), np.float32)).all():
            raise _Damaged("rows with numbers that are none (NaN or infinite)")

    def _take(self, size: int) -> memoryview:
        piece = self._content[self._position : self._position + size]
        if len(piece) != size:
            raise _Damaged(f"it ends {size - len(piece)} bytes too early")
        self._position += size
        return piece
