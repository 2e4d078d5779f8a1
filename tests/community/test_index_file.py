"""Index files: those of RVC programs are read, whatever else claims to be one is not."""

import struct
from pathlib import Path

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rvc.community.index_file import check_index, community_index, read_index
from rvc.errors import ArtifactCorrupt, ObjectNotFound
from rvc.retrieval import RetrievalIndex, build_index
from tests.community.models import write_index

ROWS = np.random.default_rng(1).normal(size=(300, 16)).astype(np.float32)


def serialized(factory: str, rows: np.ndarray = ROWS, metric: int = faiss.METRIC_L2) -> bytes:
    index = faiss.index_factory(16, factory, metric)
    index.train(ROWS)
    index.add(rows)
    return bytes(faiss.serialize_index(index))


def test_an_index_of_rvc_programs_is_read_as_it_is(tmp_path):
    path = write_index(tmp_path / "a.index", rows=120, cells=5, probes=3)
    index = read_index(path)
    assert (index.rows, index.dimension, index.cells, index.probes) == (120, 768, 5, 3)
    assert index.content == path.read_bytes()


def test_other_layouts_of_the_same_kinds_are_read():
    assert check_index(serialized("Flat"), "x").rows == 300
    few = serialized("IVF40,Flat", ROWS[:6])
    assert b"sprs" in few
    assert (check_index(few, "x").rows, check_index(few, "x").cells) == (6, 40)
    index = faiss.deserialize_index(np.frombuffer(serialized("IVF4,Flat"), np.uint8))
    index.make_direct_map()
    assert check_index(bytes(faiss.serialize_index(index)), "x").rows == 300


def test_ours_is_exported_with_the_probes_of_the_community():
    ours = build_index(ROWS, seed=0)
    name, content = community_index(ours, "ann", "v2")
    assert name == "added_IVF7_Flat_nprobe_1_ann_v2.index"
    assert (check_index(ours, "x").probes, check_index(content, "x").probes) == (8, 1)
    again = RetrievalIndex.from_bytes(content, name)
    assert (again.rows, again.dimension) == (300, 16)
    assert community_index(content, "ann", "v2") == (name, content)


def test_an_index_without_cells_keeps_its_bytes():
    flat = serialized("Flat")
    assert community_index(flat, "ann", "v1") == ("added_Flat_ann_v1.index", flat)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "too early"),
        (b"not an index at all", "of the kind 'not '"),
        (serialized("IVF4,PQ4"), "of the kind 'IwPQ'"),
        (serialized("HNSW8"), "of the kind 'IHNf'"),
        (serialized("IVF4,Flat", metric=faiss.METRIC_INNER_PRODUCT), "Euclidean"),
        (serialized("IVF4,Flat", ROWS[:0]), "without rows"),
        (serialized("IVF4,Flat") + b"more", "4 bytes after its end"),
        (serialized("Flat", np.where(ROWS > 2, np.nan, ROWS)), "NaN"),
    ],
)
def test_what_is_no_such_index_is_refused(content, words):
    with pytest.raises(ArtifactCorrupt, match=words):
        check_index(content, "x.index")


def test_an_index_that_opens_another_file_is_refused(tmp_path):
    index = faiss.deserialize_index(np.frombuffer(serialized("IVF4,Flat"), np.uint8))
    lists = faiss.OnDiskInvertedLists(index.nlist, index.code_size, str(tmp_path / "lists"))
    index.replace_invlists(lists, False)
    with pytest.raises(ArtifactCorrupt, match="not in the file itself"):
        check_index(bytes(faiss.serialize_index(index)), "x.index")


@pytest.mark.parametrize("claim", [2**31, 2**40, 2**62, 2**64 - 1])
@pytest.mark.parametrize("position", [8, 37, 45])
def test_huge_claims_allocate_nothing(claim, position):
    content = bytearray(serialized("IVF4,Flat"))
    content[position : position + 8] = struct.pack("<Q", claim)
    if position == 45:  # the number of probes is no length; faiss takes all cells there are
        assert check_index(bytes(content), "x").rows == 300
    else:
        with pytest.raises(ArtifactCorrupt):
            check_index(bytes(content), "x")


@given(st.integers(0, 2000), st.binary(min_size=1, max_size=8))
@settings(max_examples=100, deadline=None)
def test_whatever_passes_is_searchable(position, damage):
    content = bytearray(serialized("IVF4,Flat", ROWS[:20]))
    position %= len(content)
    content[position : position + len(damage)] = damage
    content = content[: len(serialized("IVF4,Flat", ROWS[:20]))]
    try:
        check_index(bytes(content), "x")
    except ArtifactCorrupt:
        return
    mixed = RetrievalIndex.from_bytes(bytes(content), "x").mix(ROWS[:3], 0.5)
    assert mixed.shape == (3, 16)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ObjectNotFound, match=r"none\.index"):
        read_index(tmp_path / "none.index")
