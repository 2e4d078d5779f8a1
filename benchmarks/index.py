"""The retrieval index: how long it takes to build, and a search in it beside an exact one."""

from __future__ import annotations

import time
from collections.abc import Iterator

import faiss
import numpy as np

from benchmarks.bench import THREADS, Bench, Figure
from rvc.retrieval import NEIGHBOURS, RetrievalIndex, build_index

_DIMENSION = 768
_QUERIES = 500
"""Ten seconds of content."""
_REPEATS = 5


def index(bench: Bench) -> Iterator[Figure]:
    """With as many rows as some minutes of recordings give."""
    yield from _measured(10_000)


def index_million(bench: Bench) -> Iterator[Figure]:
    """With so many rows that cluster centres take their place."""
    yield from _measured(1_000_000)


def _measured(rows: int) -> Iterator[Figure]:
    command = "make bench ONLY=" + ("index" if rows < 1_000_000 else "index-million")
    faiss.omp_set_num_threads(int(THREADS))
    random = np.random.default_rng(0)
    features = random.standard_normal((rows, _DIMENSION), dtype=np.float32)
    queries = random.standard_normal((_QUERIES, _DIMENSION), dtype=np.float32)
    started = time.monotonic()
    built = build_index(features, seed=0)
    yield Figure(f"index-build-{rows}", time.monotonic() - started, "s", command)
    yield Figure(f"index-size-{rows}", len(built) / 2**20, "MiB", command)
    ours = RetrievalIndex.from_bytes(built, "built")
    exact = faiss.IndexFlatL2(_DIMENSION)
    exact.add(features)
    seconds = {"ours": np.inf, "exact": np.inf}
    for _ in range(_REPEATS):
        for name, search in (
            ("ours", lambda: ours.mix(queries, 0.75)),
            ("exact", lambda: exact.search(queries, NEIGHBOURS)),
        ):
            started = time.perf_counter()
            search()
            seconds[name] = min(seconds[name], time.perf_counter() - started)
    # Milliseconds for the fifty queries of a second.
    scale = 1000 * 50 / _QUERIES
    yield Figure(
        f"index-search-{rows}",
        seconds["ours"] * scale,
        "ms per s",
        command,
        seconds["exact"] * scale,
    )
