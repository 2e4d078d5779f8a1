import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rvc import retrieval
from rvc.errors import ArtifactCorrupt
from rvc.retrieval import RetrievalIndex, build_index
from tests.fixtures.parity import parity_arrays, parity_file


def rows(count: int, dimension: int = 16, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)


def index_over(features: np.ndarray) -> RetrievalIndex:
    return RetrievalIndex.from_bytes(build_index(features, seed=1), "index.faiss")


def test_mix_is_that_of_the_original():
    fixture = parity_arrays("retrieval.npz")
    index = RetrievalIndex.load(parity_file("added_IVF23_Flat_nprobe_1_fixture_v2.index"))
    assert (index.rows, index.dimension) == (900, 768)
    np.testing.assert_allclose(index.mix(fixture["query"], 1.0), fixture["mixed"], atol=1e-4)


def test_cells_are_those_of_the_original():
    fixture = parity_arrays("retrieval.npz")
    content = build_index(fixture["vectors"].astype(np.float32), seed=0)
    assert faiss.deserialize_index(np.frombuffer(content, np.uint8)).nlist == fixture["n_ivf"]


@pytest.mark.parametrize("neighbours", [1, 4])
def test_mix_is_the_weighted_mean_of_the_nearest(neighbours):
    features, query = rows(30), rows(5, seed=9)
    squared = ((query[:, None] - features[None]) ** 2).sum(-1)
    expected = np.empty_like(query)
    for i, distances in enumerate(squared):
        nearest = np.argsort(distances)[:neighbours]
        weights = distances[nearest] ** -2.0
        expected[i] = (weights[:, None] * features[nearest]).sum(0) / weights.sum()
    mixed = index_over(features).mix(query, 0.25, neighbours)
    np.testing.assert_allclose(mixed, 0.25 * expected + 0.75 * query, atol=1e-5)


def test_an_exact_match_is_taken_as_it_is():
    features = rows(500)
    np.testing.assert_allclose(index_over(features).mix(features[:40], 1.0), features[:40], atol=1e-6)


def test_rate_zero_changes_nothing():
    query = rows(7, seed=4)
    np.testing.assert_array_equal(index_over(rows(100)).mix(query, 0.0), query)


def test_a_frame_in_an_empty_cell_stays_as_it_is():
    cells = faiss.IndexFlatL2(2)
    cells.add(np.array([[0, 0], [9, 9]], np.float32))
    index = faiss.IndexIVFFlat(cells, 2, 2)
    index.add(np.zeros((3, 2), np.float32))
    lonely = np.array([[9.0, 8.0], [0.5, 0.0]], np.float32)
    mixed = RetrievalIndex(index).mix(lonely, 1.0)
    np.testing.assert_allclose(mixed, [[9.0, 8.0], [0.0, 0.0]], atol=1e-6)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 300), st.integers(0, 50), st.floats(0, 1))
def test_results_are_numbers_for_any_number_of_rows(count, queries, rate):
    features = rows(count)
    query = np.concatenate([rows(queries, seed=2), features[:3], np.zeros((1, 16), np.float32)])
    mixed = index_over(features).mix(query, rate)
    assert mixed.shape == query.shape
    assert mixed.dtype == np.float32
    assert np.isfinite(mixed).all()


def test_long_queries_are_taken_in_blocks():
    features, query = rows(200), rows(2500, seed=5)
    index = index_over(features)
    np.testing.assert_allclose(index.mix(query, 0.5)[1500:1600], index.mix(query[1500:1600], 0.5), atol=1e-6)


def test_the_same_rows_and_seed_give_the_same_file():
    features = rows(2000)
    assert build_index(features, seed=5) == build_index(features, seed=5)


def test_a_part_of_an_index_knows_only_its_rows():
    features, query = rows(300), rows(5, seed=9)
    index = index_over(features)
    assert index.part(None) is index
    part = index.part(range(100, 180))
    assert part is index.part(range(100, 180))
    found = part.search(query)
    assert ((found.ids >= 100) & (found.ids < 180) | (found.ids < 0)).all()
    np.testing.assert_allclose(part.mix(features[100:180], 1.0), features[100:180], atol=1e-6)
    assert not (index.search(query).ids == found.ids).all()


def test_of_several_speakers_each_gives_its_share_of_centres(monkeypatch):
    monkeypatch.setattr(retrieval, "MOST_ROWS", 400)
    monkeypatch.setattr(retrieval, "CENTRES", 50)
    few, many = rows(2) + 10, rows(500)
    assert retrieval.few_enough([few, many[:398]], seed=0)[0] is few
    ours, others = retrieval.few_enough([few, many], seed=0)
    assert (len(ours), len(others)) == (1, 49)
    assert (ours > others.max(0)).all()


def test_very_many_rows_are_replaced_by_centres(monkeypatch):
    monkeypatch.setattr(retrieval, "MOST_ROWS", 400)
    monkeypatch.setattr(retrieval, "CENTRES", 50)
    assert index_over(rows(399)).rows == 399
    assert index_over(rows(401)).rows == 50


def test_damaged_and_empty_files_are_refused(tmp_path):
    content = build_index(rows(100), seed=0)
    empty = faiss.serialize_index(faiss.IndexFlatL2(4)).tobytes()
    for damaged in (b"", b"no index at all", content[: len(content) // 2], empty):
        path = tmp_path / "index.faiss"
        path.write_bytes(damaged)
        with pytest.raises(ArtifactCorrupt, match=r"index\.faiss"):
            RetrievalIndex.load(path)
