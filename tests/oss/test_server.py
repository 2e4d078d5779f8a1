"""Faults on demand as a client sees them, the log, the hook, and the server as a program."""

import os
import re
import signal
import subprocess
import sys
import threading

import oss2
import pytest
import requests

from tests.fixtures.programs import DEADLINE_SECONDS
from tests.oss import KEY_ID, KEY_SECRET, REGION, Fault, OssServer

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow")


@pytest.fixture
def server():
    with OssServer() as server:
        yield server


@pytest.fixture
def bucket(server) -> oss2.Bucket:
    return bucket_at(server.endpoint)


def bucket_at(endpoint: str, secret: str = KEY_SECRET) -> oss2.Bucket:
    return oss2.Bucket(oss2.AuthV4(KEY_ID, secret), endpoint, "voices", region=REGION, connect_timeout=5)


CONTENT = bytes(range(256)) * 1000


class TestFaults:
    def test_an_error_with_its_headers(self, server, bucket):
        server.faults.add(Fault("PutObject", status=503, code="SlowDown", retry_after_seconds=7))
        with pytest.raises(oss2.exceptions.ServerError) as caught:
            bucket.put_object("a", b"")
        assert (caught.value.status, caught.value.code) == (503, "SlowDown")
        assert caught.value.headers["Retry-After"] == "7"
        bucket.put_object("a", b"")

    def test_which_requests_are_hit(self, server, bucket):
        server.faults.add(Fault("Put*", "a/*", after=1, times=2, status=500, code="InternalError"))
        outcomes = []
        for key in ("a/1", "b/1", "a/2", "a/3", "a/4"):
            try:
                bucket.put_object(key, b"")
                outcomes.append("done")
            except oss2.exceptions.ServerError:
                outcomes.append("failed")
        assert outcomes == ["done", "done", "failed", "failed", "done"]

    @pytest.mark.parametrize("fault", [Fault(reset=True), Fault("PutObject", lose_answer=True)])
    def test_no_answer(self, server, bucket, fault):
        server.faults.add(fault)
        with pytest.raises(oss2.exceptions.RequestError):
            bucket.put_object("a", b"")
        assert server.buckets["voices"].has("a") == fault.lose_answer

    @pytest.mark.parametrize(
        "fault",
        [
            Fault("GetObject", reset_after_bytes=1000),
            Fault("GetObject", truncate_to_bytes=1000),
            Fault("GetObject", content_length_plus=1),
        ],
    )
    def test_an_answer_that_breaks_off(self, server, bucket, fault):
        bucket.put_object("a", CONTENT)
        server.faults.add(fault)
        answer = bucket.get_object("a")
        with pytest.raises(requests.exceptions.RequestException):
            answer.read()

    @pytest.mark.parametrize(
        ("fault", "difference"),
        [(Fault("GetObject", flip_byte=70_000), 1), (Fault("GetObject", content_length_plus=-3), 3)],
    )
    def test_an_answer_that_is_wrong(self, server, bucket, fault, difference):
        bucket.put_object("a", CONTENT)
        server.faults.add(fault)
        got = bucket.get_object("a").read()
        differing = sum(one != other for one, other in zip(got, CONTENT, strict=False))
        assert differing + len(CONTENT) - len(got) == difference
        assert bucket.get_object("a").read() == CONTENT

    def test_checksums_that_are_wrong_are_seen_by_the_client(self, server, bucket):
        server.faults.add(Fault("PutObject", wrong_crc64=True))
        with pytest.raises(oss2.exceptions.InconsistentError):
            bucket.put_object("a", CONTENT)
        server.faults.add(Fault("PutObject", flip_byte=0))
        with pytest.raises(oss2.exceptions.InconsistentError):
            bucket.put_object("a", CONTENT)

    def test_tokens_and_clocks(self, server, bucket):
        for fault, code in (
            (Fault(expire_token=True), "SecurityTokenExpired"),
            (Fault(skew_seconds=-1000), "RequestTimeTooSkewed"),
        ):
            server.faults.add(fault)
            with pytest.raises(oss2.exceptions.ServerError) as caught:
                bucket.get_object("a")
            assert caught.value.code == code

    def test_an_upload_that_breaks_off_is_not_there(self, server):
        link = bucket_at(server.endpoint).sign_url("PUT", "a", 60)

        def body():
            yield b"beginning"
            raise ConnectionError

        with pytest.raises(requests.exceptions.ConnectionError):
            requests.put(link, data=body(), timeout=10)
        assert not server.buckets["voices"].has("a")


def test_the_hook_comes_between_the_deed_and_the_answer(server, bucket):
    seen, go_on = threading.Event(), threading.Event()

    def hook(operation) -> None:
        assert (operation.number, operation.name, operation.key) == (1, "PutObject", "a")
        seen.set()
        go_on.wait(10)

    server.after_operation = hook
    writer = threading.Thread(target=bucket.put_object, args=("a", b"1"))
    writer.start()
    assert seen.wait(10)
    assert server.buckets["voices"].has("a")
    assert writer.is_alive()
    go_on.set()
    writer.join()


def test_as_a_program(tmp_path):
    command = [sys.executable, "-S", "-m", "tests.oss", "--host=127.0.0.1", "--port=0", "--bucket=voices"]
    environment = os.environ | {"OSS_ACCESS_KEY_ID": KEY_ID, "OSS_ACCESS_KEY_SECRET": "another"}
    program = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        line = program.stderr.readline()
        port = re.fullmatch(r"listening on port (\d+)\n", line)
        assert port, line
        endpoint = f"http://127.0.0.1:{port[1]}"
        bucket = bucket_at(endpoint, "another")
        bucket.put_object("a", b"1")
        fault = {"status": 500, "code": "InternalError", "times": None}
        added = requests.post(f"{endpoint}/-/faults", json=fault, timeout=10)
        assert added.json() == "done"
        for _ in range(2):
            with pytest.raises(oss2.exceptions.ServerError):
                bucket.get_object("a")
        requests.delete(f"{endpoint}/-/faults", timeout=10)
        assert bucket.get_object("a").read() == b"1"
        assert requests.get(f"{endpoint}/-/counts", timeout=10).json() == {"PutObject": 1, "GetObject": 3}
        operations = requests.get(f"{endpoint}/-/operations", timeout=10).json()
        assert [entry["code"] for entry in operations] == ["", "InternalError", "InternalError", ""]
        assert requests.post(f"{endpoint}/-/faults", json={"no": 1}, timeout=10).status_code == 400
        account = {"id": "new", "secret": "x"}
        assert requests.post(f"{endpoint}/-/accounts", json=account, timeout=10).json() == "done"
        assert requests.delete(f"{endpoint}/-/accounts", json=KEY_ID, timeout=10).json() == "done"
        with pytest.raises(oss2.exceptions.ServerError, match="InvalidAccessKeyId"):
            bucket.get_object("a")
        assert oss2.Bucket(oss2.AuthV4("new", "x"), endpoint, "voices", region=REGION).object_exists("a")
    finally:
        program.send_signal(signal.SIGTERM)
        assert program.wait(DEADLINE_SECONDS) == 0
        program.stderr.close()
