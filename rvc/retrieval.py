"""Pull features of a source speaker towards those of the voice: neighbours in an index of its recordings.

The index is a faiss `IVF<n>,Flat` file as RVC programs write and read it. Unlike theirs, a frame that
matches a stored one exactly, or falls into an empty cell, gives numbers: the match, or the frame as it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np

from rvc.errors import ArtifactCorrupt

MOST_ROWS = 200_000
"""More rows than this are replaced by cluster centres."""
CENTRES = 10_000
NEIGHBOURS = 8
PROBES = 8
"""Cells that a query looks into, kept in the file. RVC programs write 1, with which two of three true
neighbours are missed; 8 costs little more, because most of a search is the choice of the cells.
"""
_ROWS_PER_CELL = 39
"""faiss wants at least so many training rows for each cell."""
_QUERY_ROWS = 1024
_SMALLEST_SQUARED_DISTANCE = 1e-12
_BY_ID = 0
"""SUBSET_TYPE_ID_RANGE of faiss, which its types do not name."""


def few_enough(speakers: Sequence[np.ndarray], seed: int) -> list[np.ndarray]:
    """What goes into an index of features [rows, dimension] of each speaker: those, or, where all together
    are too many, centres of clusters, so many of each speaker as is the speaker's share."""
    total = sum(map(len, speakers))
    if total <= MOST_ROWS:
        return list(speakers)
    return [_centres(rows, max(1, CENTRES * len(rows) // total), seed) for rows in speakers]


def build_index(features: np.ndarray, seed: int) -> bytes:
    """A faiss index file over features [rows, dimension]; the same rows and seed give the same index."""
    (rows,) = few_enough([np.ascontiguousarray(features, dtype=np.float32)], seed)
    cells = max(1, min(int(16 * np.sqrt(len(rows))), len(rows) // _ROWS_PER_CELL))
    index = faiss.IndexIVFFlat(faiss.IndexFlatL2(rows.shape[1]), rows.shape[1], cells)
    index.nprobe = PROBES
    index.cp.seed = seed
    index.cp.min_points_per_centroid = 1
    index.train(rows)
    index.add(rows)
    return bytes(faiss.serialize_index(index))


def _centres(rows: np.ndarray, count: int, seed: int) -> np.ndarray:
    clustering = faiss.Kmeans(rows.shape[1], count, niter=20, seed=seed)
    clustering.train(np.ascontiguousarray(rows, dtype=np.float32))
    return np.asarray(clustering.centroids)


@dataclass(frozen=True)
class Neighbours:
    """What an index holds near some queries."""

    squared_distances: np.ndarray
    """[queries, neighbours]; huge where `ids` is -1: no more neighbours were found."""
    ids: np.ndarray
    shares: np.ndarray
    """[queries, neighbours], each the inverse square of its squared distance, as in RVC, over their sum; all
    0 for a query without neighbours."""
    means: np.ndarray
    """float32 [queries, dimension]."""


class RetrievalIndex:
    """A loaded index."""

    def __init__(self, index: faiss.Index) -> None:
        self._index = index
        self._parts: dict[range, RetrievalIndex] = {}

    @classmethod
    def load(cls, path: Path) -> RetrievalIndex:
        """Read an index file; raises `ArtifactCorrupt` if faiss cannot, or if it holds no rows."""
        return cls.from_bytes(path.read_bytes(), path.name)

    @classmethod
    def from_bytes(cls, content: bytes, name: str) -> RetrievalIndex:
        """The index in a file's content; `name` is for the message of `ArtifactCorrupt`."""
        try:
            index = faiss.deserialize_index(np.frombuffer(content, np.uint8))
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise ArtifactCorrupt(f"{name} is not a faiss index ({reason}); train the voice again") from error
        if index.ntotal == 0:
            raise ArtifactCorrupt(f"{name} is an index without rows; train the voice again")
        return cls(index)

    @property
    def dimension(self) -> int:
        """Width of the rows."""
        return int(self._index.d)

    @property
    def rows(self) -> int:
        """Number of the rows."""
        return int(self._index.ntotal)

    def part(self, rows: range | None) -> RetrievalIndex:
        """Of an index with cells only some rows, counted as they were added, in the same cells; all for
        None."""
        if rows is None:
            return self
        if rows not in self._parts:
            whole = self._index
            assert isinstance(whole, faiss.IndexIVFFlat)
            part = faiss.IndexIVFFlat(whole.quantizer, whole.d, whole.nlist)
            part.nprobe = whole.nprobe
            whole.copy_subset_to(part, _BY_ID, rows.start, rows.stop)
            self._parts[rows] = RetrievalIndex(part)
        return self._parts[rows]

    def mix(self, features: np.ndarray, rate: float, neighbours: int = NEIGHBOURS) -> np.ndarray:
        """`rate` of the neighbours' mean and `1 - rate` of the features, float32 [frames, dimension].

        Frames without any neighbour stay as they are.
        """
        if rate == 0.0 or len(features) == 0:
            return features
        mixed: np.ndarray = np.concatenate(list(self._mixed_blocks(features, np.float32(rate), neighbours)))
        return mixed

    def search(self, queries: np.ndarray, neighbours: int = NEIGHBOURS) -> Neighbours:
        """The nearest rows of queries [queries, dimension], and their mean."""
        squared_distances, ids, rows = self._index.search_and_reconstruct(
            np.ascontiguousarray(queries, dtype=np.float32), neighbours
        )
        missing = ids < 0
        rows[missing] = 0.0
        weights = np.maximum(squared_distances.astype(np.float64), _SMALLEST_SQUARED_DISTANCE) ** -2
        weights[missing] = 0.0
        total = weights.sum(axis=1, keepdims=True)
        shares = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0).astype(np.float32)
        means = np.matmul(shares[:, None, :], rows)[:, 0]
        return Neighbours(squared_distances, ids, shares, means)

    def _mixed_blocks(self, features: np.ndarray, rate: np.float32, neighbours: int) -> Iterator[np.ndarray]:
        for start in range(0, len(features), _QUERY_ROWS):
            queries = features[start : start + _QUERY_ROWS].astype(np.float32)
            found = self.search(queries, neighbours)
            has_any = (found.ids >= 0).any(axis=1, keepdims=True)
            yield np.where(has_any, rate * found.means + (1 - rate) * queries, queries)
