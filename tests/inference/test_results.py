"""Lists of outcomes: however long they are, they are not held as a whole."""

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rvc.errors import ArtifactCorrupt
from rvc.store import FolderStore
from rvc_inference.plan import InputFile, Job
from rvc_inference.results import FileResult, Outcome, ResultsFolder

OURS, OTHERS = "sha256:" + 64 * "a", "sha256:" + 64 * "b"
MANY = 40_000
ROOM_BYTES = 4 << 20


@pytest.fixture
def store(tmp_path) -> FolderStore:
    return FolderStore(tmp_path, "pvc://data/")


def job(number: int) -> Job:
    return Job(InputFile(f"{number}.flac", 9, f"etag-{number}"), f"{number}.wav")


def result(number: int, fingerprint: str = OURS, outcome: Outcome = Outcome.SUCCEEDED) -> FileResult:
    done = job(number)
    return FileResult(
        done.source, fingerprint, outcome, done.output_name, 10, f"output-{number}", 1.0, link="x"
    )


@contextmanager
def little_memory() -> Iterator[None]:
    """Raise if more is held at any time than a fraction of a long list."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < ROOM_BYTES
    finally:
        tracemalloc.stop()


def test_long_lists_are_written_and_passed_over_line_by_line(store, tmp_path: Path):
    with little_memory():
        ResultsFolder(store, "out/", "u1").write_results(result(number) for number in range(MANY))
        ResultsFolder(store, "out/", "u2").write_results(result(number, OTHERS) for number in range(MANY))
    written = tmp_path / "out/_conversion/u1/results.jsonl"
    assert written.stat().st_size > 2 * ROOM_BYTES
    with little_memory():
        earlier = ResultsFolder(store, "out/", "u3").earlier_results(OURS, [job(5), job(MANY)])
    assert {name: found.output_etag for name, found in earlier.items()} == {"5.flac": "output-5"}
    assert earlier["5.flac"].link == ""


def test_what_an_earlier_run_of_the_same_conversion_noted_comes_first(store):
    ours = FileResult(job(1).source, OURS, Outcome.SUCCEEDED, "1.wav", 10, "ours")
    ResultsFolder(store, "out/", "u1").write_results([ours])
    ResultsFolder(store, "out/", "u2").write_results(
        [result(1), result(2), result(3, outcome=Outcome.FAILED)]
    )
    earlier = ResultsFolder(store, "out/", "u1").earlier_results(OURS, map(job, range(4)))
    assert {name: found.output_etag for name, found in earlier.items()} == {
        "1.flac": "ours",
        "2.flac": "output-2",
    }


def test_an_input_or_a_name_that_is_another_now_counts_for_nothing(store):
    records = ResultsFolder(store, "out/", "u1")
    records.write_results([result(1), result(2)])
    jobs = [Job(InputFile("1.flac", 9, "changed"), "1.wav"), Job(job(2).source, "2.flac.wav")]
    assert records.earlier_results(OURS, jobs) == {}


def test_a_damaged_list_is_another_conversions_loss_or_ours_to_tell(store, caplog):
    store.write_bytes("out/_conversion/u1/results.jsonl", b"{}\n")
    assert ResultsFolder(store, "out/", "u2").earlier_results(OURS, [job(1)]) == {}
    assert "results of another conversion left out" in caplog.messages
    with pytest.raises(ArtifactCorrupt, match=r"u1/results\.jsonl"):
        ResultsFolder(store, "out/", "u1").earlier_results(OURS, [job(1)])
