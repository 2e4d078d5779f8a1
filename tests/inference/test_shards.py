"""Several servers share a conversion: every file once, one list, one summary, whoever goes on the way."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path

import msgspec
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from rvc.contract import ConversionRequest, ConversionState, FileCounts, Shard
from rvc.store import FolderStore
from rvc_inference.plan import share
from rvc_inference.results import FileResult, ResultsFolder
from tests.fixtures.sounds import voice_like
from tests.inference.servers import Copier, Server, request, serving

COUNT = 3
WANTED = request(prefix="pvc://data/in/")
NAMES = ["a.wav", "b.flac", "deep/c.ogg", "nan.wav", "silent.wav", "text.wav", "zero.wav"]


def shard(index: int, wanted: ConversionRequest = WANTED, count: int = COUNT) -> ConversionRequest:
    return msgspec.structs.replace(wanted, shard=Shard(index, count))


@pytest.fixture
def servers(claim, batch, tmp_path) -> Iterator[list[Server]]:
    """Three servers, each with a voice of its own that copies."""
    with ExitStack() as stack:
        copiers = [Copier() for _ in range(COUNT)]
        for copier in copiers:
            copier.gate.set()
        yield [
            stack.enter_context(serving(lambda *_, copier=copier: copier, tmp_path / f"server-{number}"))
            for number, copier in enumerate(copiers)
        ]


def records(claim: Path) -> Path:
    return claim / "out/_conversion/u1"


def listed(claim: Path) -> list[dict]:
    return [json.loads(line) for line in (records(claim) / "results.jsonl").read_text().splitlines()]


def require_whole(claim: Path, succeeded: int = 3) -> None:
    """Raise unless the union is there: each file once, in the order of names, and the counts of all."""
    lines = listed(claim)
    assert [line["source"]["name"] for line in lines] == ["README.txt", *NAMES]
    summary = json.loads((records(claim) / "results.json").read_text())
    assert summary["files"] == {"total": 7, "succeeded": succeeded, "failed": 7 - succeeded, "skipped": 0}
    assert len(summary["failures"]) == 7 - succeeded
    assert "shard" not in summary["request"]
    for line in lines:
        if line["outcome"] == "Succeeded":
            assert (claim / "out" / line["output"]).stat().st_size == line["outputSize"]


@given(st.integers(0, 100), st.integers(1, 32))
def test_shards_are_disjoint_complete_and_of_one_size(files, count):
    shares = [share(list(range(files)), Shard(index, count)) for index in range(count)]
    assert sorted(chain(*shares)) == list(range(files))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_all_at_once(servers, claim):
    for index, server in enumerate(servers):
        assert server.put("u1", shard(index)).status_code == 202
    ended = [server.ended("u1", index) for index, server in enumerate(servers)]
    assert {status.state for status in ended} == {ConversionState.FINISHED}
    assert [status.files.total for status in ended] == [7] * COUNT
    assert sum(status.files.succeeded for status in ended) == 3
    assert sum(status.files.failed for status in ended) == 4
    assert {status.results_uri for status in ended} == {"pvc://data/out/_conversion/u1/results.json"}
    require_whole(claim)


def test_one_server_does_them_all_in_turn(servers, claim):
    server = servers[0]
    for index in range(COUNT):
        server.put("u1", shard(index))
    for index in range(COUNT):
        server.ended("u1", index)
    require_whole(claim)
    assert server.client.delete("/v1/conversions/u1", params={"shard": 1}).status_code == 204
    assert server.client.get("/v1/conversions/u1", params={"shard": 1}).status_code == 404
    assert server.client.get("/v1/conversions/u1", params={"shard": 2}).status_code == 200


def test_there_is_no_summary_before_the_last_one_is_done(servers, claim):
    for index in (0, 2):
        servers[0].put("u1", shard(index))
        servers[0].ended("u1", index)
    assert not (records(claim) / "results.json").exists()
    servers[1].put("u1", shard(1))
    servers[1].ended("u1", 1)
    require_whole(claim)


def test_all_share_the_list_that_was_noted_first(servers, claim, batch):
    servers[0].put("u1", shard(0))
    servers[0].ended("u1")
    soundfile.write(batch / "aa.wav", voice_like(1, 200), 16000)
    for index in (1, 2):
        servers[index].put("u1", shard(index))
        assert servers[index].ended("u1", index).files.total == 7
    require_whole(claim)


def test_a_shard_that_is_done_is_not_done_again(servers, claim):
    for index in range(COUNT):
        servers[0].put("u1", shard(index))
        servers[0].ended("u1", index)
    before = {path: path.stat().st_mtime_ns for path in (claim / "out").glob("*.wav")}
    again = servers[1]
    again.put("u1", shard(0))
    assert again.ended("u1").files == servers[0].status("u1").files
    assert again.worker.files == {}
    assert {path: path.stat().st_mtime_ns for path in before} == before
    require_whole(claim)


def test_a_server_that_dies_before_the_summary_is_followed_by_one_that_writes_it(servers, claim):
    for index in range(COUNT):
        servers[0].put("u1", shard(index))
        servers[0].ended("u1", index)
    for name in ("results.json", "results.jsonl"):
        (records(claim) / name).unlink()
    servers[1].put("u1", shard(1))
    servers[1].ended("u1", 1)
    require_whole(claim)


def test_a_server_that_was_taken_for_dead_changes_nothing(servers, claim):
    for index in range(COUNT):
        servers[0].put("u1", shard(index))
        servers[0].ended("u1", index)
    done = {path: path.read_bytes() for path in records(claim).rglob("*") if path.is_file()}
    store = FolderStore(claim, "pvc://data/")
    late = ResultsFolder(store, "out/", "u1", Shard(0, COUNT))
    [closed] = (records(claim) / "shards/0-of-3").glob("closed-*")
    line = msgspec.json.decode(closed.read_bytes().splitlines()[0], type=FileResult)
    assert late.close(line.fingerprint, []) == late.closed(line.fingerprint) != []
    assert {path: path.read_bytes() for path in done} == done


def test_more_shards_than_files(servers, claim):
    for index in range(32):
        servers[index % COUNT].put("u1", shard(index, count=32))
    for index in range(32):
        assert servers[index % COUNT].ended("u1", index).state is ConversionState.FINISHED
    assert servers[20 % COUNT].status("u1", 20).files == FileCounts(total=7)
    require_whole(claim)


def test_another_voice_does_not_complete_what_was_begun_with_the_first(servers, claim):
    servers[0].put("u1", shard(0))
    servers[0].ended("u1")
    other = msgspec.structs.replace(WANTED.voice, manifest_digest="sha256:" + "1" * 64, revision="1")
    wanted = msgspec.structs.replace(WANTED, voice=other)
    for index in (1, 2):
        servers[index].put("u1", shard(index, wanted))
        servers[index].ended("u1", index)
    assert not (records(claim) / "results.json").exists()
    servers[1].put("u1", shard(0, wanted))
    servers[1].ended("u1")
    require_whole(claim)
    assert len({line["fingerprint"] for line in listed(claim)}) == 1


def test_another_conversion_takes_over_what_shards_did(servers, claim):
    servers[0].put("u1", shard(0))
    done = servers[0].ended("u1").files.succeeded
    servers[1].put("u2", WANTED)
    assert servers[1].ended("u2").files.succeeded == 3
    assert servers[1].worker.files["Succeeded"] == 3 - done
    assert done > 0


@pytest.mark.parametrize("name", ["1", "-1", "x", "1000", "٣"])
def test_a_shard_is_put_under_its_own_index(servers, name):
    content = msgspec.json.encode(shard(0))
    answer = servers[0].client.put("/v1/conversions/u1", params={"shard": name}, content=content)
    assert (answer.status_code, answer.json()["reason"]) == (400, "RequestInvalid")


def test_an_index_beyond_the_count_is_refused(servers):
    content = msgspec.json.encode(shard(1)).replace(b'"index":1', b'"index":3')
    answer = servers[0].client.put("/v1/conversions/u1", params={"shard": 3}, content=content)
    assert (answer.status_code, answer.json()["reason"]) == (400, "RequestInvalid")
    assert "below count" in answer.json()["message"]
