"""OssStore under each kind of trouble: bounded, no busy loop, and the right end."""

import math
import os
import threading
import tracemalloc
from pathlib import Path

import httpx
import pytest

from rvc.errors import ArtifactCorrupt, InvalidConfiguration, ObjectExists, PermissionDenied, StoreUnavailable
from rvc.store.oss import download, upload
from rvc.store.oss.retry import RetryPolicy
from tests.oss import Fault, OssServer
from tests.store.support import open_oss

PART = 128 * 1024
ALWAYS = math.inf


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(upload, "PART_BYTES", PART)
    monkeypatch.setattr(download, "RANGE_BYTES", PART)


def local(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "local"
    path.write_bytes(content)
    return path


def stored(server: OssServer, key: str = "a") -> bytes:
    return b"".join(server.buckets["voices"].get(key).body.chunks())


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 3 * PART, 9 * PART + 7])
def test_sizes_around_the_parts(server, oss, tmp_path, size):
    content = os.urandom(size)
    info = oss.upload(local(tmp_path, content), "a")
    assert info == oss.stat("a")
    assert info.size == size
    assert stored(server) == content
    oss.download("a", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content == oss.read_bytes("a")
    assert (server.counts["UploadPart"] > 0) == (size > PART)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["back", "local"]


@pytest.mark.parametrize("size", [1000, 5 * PART + 3])
@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=503, code="SlowDown", times=3),
        Fault(status=500, code="InternalError", times=3),
        Fault(status=502, code="", times=3),
        Fault(reset=True, times=3),
        Fault("PutObject", lose_answer=True),
        Fault("InitiateMultipartUpload", lose_answer=True),
        Fault("UploadPart", lose_answer=True, times=2),
        Fault("CompleteMultipartUpload", lose_answer=True),
        Fault("GetObject", reset_after_bytes=500, times=3),
        Fault("GetObject", truncate_to_bytes=500, times=3),
        Fault("GetObject", content_length_plus=10),
        Fault("GetObject", content_length_plus=-10),
        Fault("GetObject", flip_byte=123),
        Fault("PutObject", flip_byte=123),
        Fault("UploadPart", flip_byte=123, times=2),
        Fault("PutObject", wrong_crc64=True),
        Fault("CompleteMultipartUpload", wrong_crc64=True),
        Fault("GetObject", wrong_crc64=True),
        Fault(skew_seconds=3600.0, times=2),
        Fault(latency_seconds=0.01, times=4),
    ],
    ids=repr,
)
@pytest.mark.parametrize("overwrite", [True, False])
def test_passing_trouble_is_overcome(server, oss, tmp_path, fault, size, overwrite):
    content = os.urandom(size)
    server.faults.add(fault)
    info = oss.upload(local(tmp_path, content), "a", overwrite=overwrite)
    assert stored(server) == content
    oss.download("a", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content
    server.faults.clear()
    assert oss.stat("a") == info
    if fault.operation != "InitiateMultipartUpload":  # Its answer alone names the upload; `sweep` ends it.
        assert server.buckets["voices"].uploads() == []


def test_what_broke_off_goes_on_where_it_was(server, oss, tmp_path):
    content = os.urandom(PART)
    oss.write_bytes("a", content)
    server.faults.add(Fault("GetObject", truncate_to_bytes=50_000))
    oss.download("a", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content
    assert [entry.range for entry in server.operations] == ["", "", f"bytes=32768-{PART - 1}"]


def test_progress_renews_patience(server, clock, tmp_path):
    store = open_oss(server, clock, policy=RetryPolicy(tries=3))
    content = os.urandom(PART)
    store.write_bytes("a", content)
    server.faults.add(Fault("GetObject", truncate_to_bytes=40_000, times=ALWAYS))
    store.download("a", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content


@pytest.mark.parametrize(
    "faults",
    [
        [],
        [Fault("GetObject", truncate_to_bytes=50_000, times=40), Fault("UploadPart", reset=True, times=20)],
        [Fault("GetObject", flip_byte=5, times=2), Fault("UploadPart", flip_byte=5, times=20)],
    ],
    ids=["none", "broken", "damaged"],
)
def test_memory_does_not_grow_with_the_object_nor_with_the_trouble(server, oss, tmp_path, faults):
    size = 128 * PART
    with (path := tmp_path / "local").open("wb") as file:
        file.truncate(size)
    server.faults.add(*faults)
    tracemalloc.start()
    try:
        oss.upload(path, "a")
        oss.download("a", tmp_path / "back")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (tmp_path / "back").stat().st_size == size
    assert peak < size / 2


def test_an_outage_of_ten_minutes_is_sat_out(server, oss, clock):
    server.faults.add(Fault(status=503, code="ServiceUnavailable", times=ALWAYS))
    clock.on_pause = lambda now: server.faults.clear() if now >= 600 else None
    oss.write_bytes("a", b"content")
    assert stored(server) == b"content"
    assert 600 <= clock.seconds <= 640
    assert len(server.operations) < 50, "no busy loop"


def test_a_longer_outage_ends_as_unavailable(server, oss, clock):
    server.faults.add(Fault(status=503, code="ServiceUnavailable", times=ALWAYS))
    with pytest.raises(
        StoreUnavailable, match=r"oss://voices/a: OSS has trouble.*ServiceUnavailable, request"
    ):
        oss.read_bytes("a")
    assert 800 <= clock.seconds <= 900
    assert len(server.operations) < 80


def test_nobody_at_the_endpoint(clock):
    with OssServer() as server:
        store = open_oss(server, clock)
    with pytest.raises(StoreUnavailable, match="oss://voices/a: the connection failed"):
        store.stat("a")
    assert clock.seconds <= 900


def test_throttling_says_how_long(server, oss, clock):
    server.faults.add(Fault(status=503, code="SlowDown", retry_after_seconds=30))
    oss.write_bytes("a", b"")
    (pause,) = clock.pauses
    assert 30 <= pause <= 31


def test_a_wait_longer_than_patience_is_not_begun(server, oss, clock):
    server.faults.add(Fault(status=503, code="SlowDown", retry_after_seconds=3600))
    with pytest.raises(StoreUnavailable, match="throttles"):
        oss.write_bytes("a", b"")
    assert clock.pauses == []


def test_whoever_sleeps_may_give_up(server, oss, clock):
    def stop(now: float) -> None:
        raise KeyboardInterrupt

    clock.on_pause = stop
    server.faults.add(Fault(reset=True))
    with pytest.raises(KeyboardInterrupt):
        oss.stat("a")


def test_a_download_that_is_damaged_every_time(server, oss, tmp_path):
    oss.write_bytes("a", bytes(1000))
    server.faults.add(Fault("GetObject", flip_byte=0, times=ALWAYS))
    with pytest.raises(StoreUnavailable, match="oss://voices/a arrived with the CRC-64"):
        oss.download("a", tmp_path / "back")
    assert list(tmp_path.iterdir()) == []
    assert server.counts["GetObject"] < 10


def test_an_upload_that_is_damaged_every_time_is_never_seen(server, oss, clock, tmp_path):
    server.faults.add(
        Fault("UploadPart", flip_byte=0, times=ALWAYS), Fault("PutObject", flip_byte=0, times=ALWAYS)
    )
    for content in (bytes(1000), bytes(3 * PART)):
        with pytest.raises(StoreUnavailable, match="not what was sent"):
            oss.upload(local(tmp_path, content), "a")
    assert server.buckets["voices"].keys() == []
    assert server.buckets["voices"].uploads() == [], "it was aborted"


def test_what_is_not_what_was_uploaded(server, oss):
    other = server.buckets["voices"].receive(iter([b"something else"]))
    server.buckets["voices"].put("a", other, {"x-oss-meta-sha256": "00" * 32})
    with pytest.raises(ArtifactCorrupt, match="oss://voices/a is not what was uploaded"):
        oss.read_bytes("a")


@pytest.mark.parametrize("size", [1000, 5 * PART])
def test_an_object_that_changes_while_it_is_read(server, oss, tmp_path, size):
    old, new = bytes(size), os.urandom(size)
    oss.upload(local(tmp_path, old), "a")

    def replace(operation) -> None:
        if operation.name == "GetObject":
            server.after_operation = None
            oss.upload(local(tmp_path, new), "a")

    server.after_operation = replace
    server.faults.add(Fault("GetObject", reset_after_bytes=100))
    assert oss.download("a", tmp_path / "back") == oss.stat("a")
    assert (tmp_path / "back").read_bytes() == new


def test_the_clock_of_this_node_is_wrong(server, oss):
    server.skew_seconds = -7200.0
    oss.write_bytes("a", b"content")
    assert [entry.code for entry in server.operations] == ["RequestTimeTooSkewed", ""]
    assert oss.read_bytes("a") == b"content"
    assert len(server.operations) == 3, "the correction stays"


@pytest.mark.parametrize("skew_seconds", [-7200.0, 7200.0])
def test_links_go_by_the_clock_of_the_server(server, oss, skew_seconds):
    server.skew_seconds = skew_seconds
    oss.write_bytes("a b", b"content")
    link = oss.presigned_url("a b", 3600)
    assert httpx.get(link).content == b"content"
    server.skew_seconds = skew_seconds + 3660
    assert httpx.get(link).status_code == 403, "it ends when it should"


def test_a_clock_that_cannot_be_corrected(server, oss):
    server.faults.add(Fault(status=403, code="RequestTimeTooSkewed", times=ALWAYS))
    with pytest.raises(StoreUnavailable, match="clock") as caught:
        oss.stat("a")
    assert caught.value.reason == "ClockSkewed"
    assert len(server.operations) == 2


def test_a_bucket_that_is_not_there(server, clock):
    store = open_oss(server, clock, "nowhere")
    for operation in (
        lambda: store.stat("a"),
        lambda: store.read_bytes("a"),
        lambda: list(store.list("")),
        lambda: store.write_bytes("a", b""),
        lambda: store.sweep("", 0.0),
        lambda: store.delete("a"),
    ):
        with pytest.raises(
            InvalidConfiguration, match=r"oss://nowhere/a?: the bucket does not exist"
        ) as caught:
            operation()
        assert caught.value.reason == "BucketNotFound"


def test_no_rights(server, oss):
    server.faults.add(Fault(status=403, code="AccessDenied", times=ALWAYS))
    for operation in (lambda: oss.stat("a"), lambda: oss.read_bytes("a"), lambda: list(oss.list("a/"))):
        with pytest.raises(PermissionDenied, match=r"oss://voices/a/?: OSS refuses access; grant"):
            operation()
    assert len(server.operations) == 3


def test_a_full_disk_is_no_matter_of_the_network(oss, clock):
    oss.write_bytes("a", b"content")
    with open("/dev/full", "wb") as file, pytest.raises(StoreUnavailable, match="volume is full"):
        download._Range("a", file.fileno(), download._Version("", 7, None, None), 0, 7).store(
            oss._client._bucket.get_object("a")
        )


class TestWriteOnce:
    def test_a_lost_answer_is_success(self, server, oss, tmp_path):
        for size in (1000, 3 * PART):
            for name in ("PutObject", "CompleteMultipartUpload"):
                server.faults.add(Fault(name, lose_answer=True))
                content, key = os.urandom(size), f"{size}-{name}"
                info = oss.upload(local(tmp_path, content), key, overwrite=False)
                assert (stored(server, key), info) == (content, oss.stat(key))
                server.faults.clear()

    def test_of_many_large_uploads_one_wins(self, server, oss, tmp_path):
        contents = [bytes([index]) * (2 * PART) for index in range(4)]
        start, won = threading.Barrier(4), []

        def write(index: int) -> None:
            (tmp_path / f"{index}").write_bytes(contents[index])
            start.wait()
            try:
                oss.upload(tmp_path / f"{index}", "a", overwrite=False)
                won.append(contents[index])
            except ObjectExists:
                pass

        threads = [threading.Thread(target=write, args=(index,)) for index in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert won == [stored(server)]
        assert server.buckets["voices"].uploads() == []

    def test_what_others_uploaded_is_compared_by_checksum(self, server, oss):
        bucket = server.buckets["voices"]
        bucket.put("a", bucket.receive(iter([b"same"])), {})
        assert oss.write_bytes("a", b"same", overwrite=False) == oss.stat("a")
        with pytest.raises(ObjectExists, match="never overwritten"):
            oss.write_bytes("a", b"else", overwrite=False)


class TestSweep:
    def begin(self, server: OssServer, *keys: str) -> None:
        for key in keys:
            server.buckets["voices"].begin(key, {}, overwrite=True)

    def test_stale_uploads_below_the_prefix_are_ended(self, server, oss):
        self.begin(server, "a/1", "a/1", "ab/1", "b")
        assert oss.sweep("a/", older_than=0.0) == 0
        assert oss.sweep("a/", older_than=math.inf) == 2
        assert [upload.key for upload in server.buckets["voices"].uploads()] == ["ab/1", "b"]

    def test_more_than_a_page(self, server, oss, monkeypatch):
        monkeypatch.setattr("rvc.store.oss.store.PAGE", 10)
        self.begin(server, *(f"a/{number % 3}" for number in range(35)))
        assert oss.sweep("a/", older_than=math.inf) == 35
        assert server.counts["ListMultipartUploads"] == 4
        assert server.buckets["voices"].uploads() == []

    def test_an_upload_that_is_swept_begins_again(self, server, oss, tmp_path):
        content = os.urandom(3 * PART)

        def sweep(operation) -> None:
            if operation.name == "UploadPart":
                server.after_operation = None
                (upload,) = server.buckets["voices"].uploads()
                server.buckets["voices"].abort("a", upload.upload_id)

        server.after_operation = sweep
        oss.upload(local(tmp_path, content), "a")
        assert stored(server) == content


def test_a_listing_leaves_out_what_has_no_key(server, oss, caplog):
    bucket = server.buckets["voices"]
    for key in ("a/", "a/x", "a//y", "a/../z", "a/./w"):
        bucket.put(key, bucket.receive(iter([])), {})
    assert [found.key for found in oss.list("")] == ["a/x"]
    assert "object left out" in caplog.text
