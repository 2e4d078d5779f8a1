"""Conversion against the original's: retrieval, loudness, and by `rvc.parity.pipeline` all of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import faiss
import numpy as np

from rvc.loudness import mix_loudness, rms_every_half_second
from rvc.parity.findings import Check, Deviation, Finding, absolute, equal, relative
from rvc.parity.pipeline import check_features, check_pipeline, index_beside
from rvc.parity.synthesizers import Arrays, arrays_of
from rvc.retrieval import RetrievalIndex, build_index

_TOLERANCE = 1e-4
_SCORE_TOLERANCE = 1e-3


def check_index(path: Path) -> Iterable[Finding | Deviation]:
    """`*.index`: opens, and holds the vectors of `retrieval.npz` where that has as many."""
    index = RetrievalIndex.load(path)
    yield equal("rows there", index.rows > 0, True)
    numbers = path.with_name("retrieval.npz")
    if numbers.exists() and (vectors := arrays_of(numbers)["vectors"]).shape == (index.rows, index.dimension):
        stored = cast(Any, faiss.read_index(str(path)))
        stored.make_direct_map()
        yield absolute("vectors", stored.reconstruct_n(0, index.rows), vectors, _TOLERANCE)


def check_retrieval(path: Path) -> Iterable[Finding | Deviation]:
    """`retrieval.npz`: neighbours and their mean, in the index file beside it."""
    arrays = arrays_of(path)
    index = index_beside(path, arrays["query"].shape[1], len(arrays["vectors"]))
    found = index.search(arrays["query"], arrays["ids"].shape[1])
    yield relative("scores", found.squared_distances, arrays["scores"], _SCORE_TOLERANCE)
    yield equal("ids", found.ids, arrays["ids"])
    yield absolute("weights", found.shares, arrays["weights"], _TOLERANCE)
    yield absolute("mixed", index.mix(arrays["query"], 1.0), arrays["mixed"], _TOLERANCE)
    content = build_index(arrays["vectors"].astype(np.float32), seed=0)
    built = cast(Any, faiss.deserialize_index(np.frombuffer(content, np.uint8)))
    yield equal("n_ivf", built.nlist, int(arrays["n_ivf"]))
    yield Deviation(
        "nprobe", f"our indices look into {built.nprobe} cells, theirs into 1 and miss most true neighbours"
    )


def check_loudness(path: Path) -> Iterable[Finding | Deviation]:
    """`change_rms.npz`: loudness mixing at several rates."""
    arrays = arrays_of(path)
    rates = {kind: _kilohertz(arrays, kind) for kind in ("source", "target")}
    target = arrays[rates["target"][0]].astype(np.float32)
    source_rms = rms_every_half_second(arrays[rates["source"][0]].astype(np.float32), rates["source"][1])
    for name in sorted(name for name in arrays if name.startswith("out_")):
        share = float(name.removeprefix("out_"))
        blocks = mix_loudness(iter([target]), len(target), rates["target"][1], source_rms, share)
        yield absolute(name, np.concatenate(list(blocks)), arrays[name], _TOLERANCE)


def _kilohertz(arrays: Arrays, kind: str) -> tuple[str, int]:
    """Name of the array whose name begins so, and the rate that it says: `source16k`."""
    (name,) = (name for name in arrays if name.startswith(kind))
    return name, 1000 * int("".join(filter(str.isdigit, name.partition("k")[0])))


CHECKS: Mapping[str, Check] = {
    "*.index": check_index,
    "retrieval*.npz": check_retrieval,
    "vc_features*.npz": check_features,
    "change_rms*.npz": check_loudness,
    "pipeline*.npz": check_pipeline,
}
