"""What needs no server: addresses, the table of errors, pauses, checksums. And a listing that is long."""

import gc
import random

import oss2
import pytest
import requests

from rvc.contract import StoreSettings
from rvc.errors import (
    InvalidConfiguration,
    ObjectExists,
    ObjectNotFound,
    PermissionDenied,
    RvcError,
    StoreUnavailable,
)
from rvc.store.oss.address import address_of
from rvc.store.oss.crc64 import crc64, without_liblzma
from rvc.store.oss.failures import MISMATCH, Failure, Kind, Trouble, failure_of
from rvc.store.oss.retry import Patience, RetryPolicy, Waiting
from rvc.store.oss.store import PAGE
from tests.oss.crc64 import crc64 as crc64_of_the_server
from tests.oss.crc64 import slow_crc64
from tests.store.support import SimulatedTime

POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}


class TestAddress:
    @pytest.mark.parametrize(
        ("endpoint", "region", "environment", "expected"),
        [
            ("", "cn-x", {}, "https://oss-cn-x.aliyuncs.com"),
            ("", "cn-x", POD, "https://oss-cn-x-internal.aliyuncs.com"),
            ("", "oss-cn-x", POD, "https://oss-cn-x-internal.aliyuncs.com"),
            ("", "", {"OSS_REGION": "cn-y"}, "https://oss-cn-y.aliyuncs.com"),
            ("", "cn-x", {"OSS_ENDPOINT": "http://oss-cn-x.aliyuncs.com"}, "http://oss-cn-x.aliyuncs.com"),
            ("oss-cn-x.aliyuncs.com", "", POD, "https://oss-cn-x.aliyuncs.com"),
            ("http://oss-cn-x-internal.aliyuncs.com/", "", {}, "http://oss-cn-x-internal.aliyuncs.com"),
        ],
    )
    def test_of_the_region(self, endpoint, region, environment, expected):
        address = address_of("voices", StoreSettings(endpoint, region), environment)
        assert address.endpoint == expected
        assert address.region in ("cn-x", "cn-y")
        assert (address.is_custom_domain, address.is_path_style) == (False, False)

    @pytest.mark.parametrize(
        ("endpoint", "custom", "path_style"),
        [
            ("https://voices.example.com", True, False),
            ("voices.oss-cn-x.aliyuncs.com", True, False),
            ("oss-accelerate.aliyuncs.com", False, False),
            ("http://127.0.0.1:9000", False, True),
            ("http://localhost:9000", False, True),
        ],
    )
    def test_of_other_kinds(self, endpoint, custom, path_style):
        address = address_of("voices", StoreSettings(endpoint, "cn-x"), {})
        assert (address.is_custom_domain, address.is_path_style) == (custom, path_style)

    def test_path_style_by_name(self):
        address = address_of("voices", StoreSettings("http://oss:9000", "cn-x"), {"RVC_OSS_PATH_STYLE": "1"})
        assert address.is_path_style
        assert not address.is_custom_domain

    @pytest.mark.parametrize(
        ("endpoint", "region", "message"),
        [
            ("", "", "set spec.storage.region"),
            ("https://voices.example.com", "", "set spec.storage.region"),
            ("", "Hangzhou!", "no region"),
            ("http://", "cn-x", "no endpoint"),
        ],
    )
    def test_that_is_none(self, endpoint, region, message):
        with pytest.raises(InvalidConfiguration, match=message):
            address_of("voices", StoreSettings(endpoint, region), {})


def answered(status: int, code: str = "", headers: dict[str, str] | None = None, **details: str) -> Exception:
    headers = {"x-oss-request-id": "R1"} if headers is None else headers
    return oss2.exceptions.ServerError(status, headers, b"", {"Code": code} | details)


class TestTable:
    @pytest.mark.parametrize(
        ("status", "code", "kind", "message"),
        [
            (404, "NoSuchKey", ObjectNotFound, "put it there or correct the URI"),
            (404, "", ObjectNotFound, "put it there"),
            (404, "NoSuchBucket", InvalidConfiguration, "create it"),
            (409, "FileAlreadyExists", ObjectExists, "remove it first"),
            (409, "FileImmutable", PermissionDenied, "retention policy"),
            (409, "OperationConflict", StoreUnavailable, "somebody else"),
            (403, "AccessDenied", PermissionDenied, "manifests/ram"),
            (403, "UserDisable", PermissionDenied, "settle its bills"),
            (403, "InvalidAccessKeyId", PermissionDenied, "correct akId"),
            (403, "InvalidObjectState", InvalidConfiguration, "restore it"),
            (403, "Unheard", PermissionDenied, "manifests/ram"),
            (400, "InvalidObjectName", InvalidConfiguration, "another name"),
            (400, "Unheard", InvalidConfiguration, "documentation"),
            (429, "", StoreUnavailable, "throttles"),
            (500, "InternalError", StoreUnavailable, "tried again"),
            (503, "DownloadTrafficRateLimitExceeded", StoreUnavailable, "higher limit"),
            (504, "", StoreUnavailable, "tried again"),
        ],
    )
    def test_of_answers(self, status, code, kind, message):
        error = failure_of(answered(status, code)).error("oss://voices/a")
        assert type(error) is kind
        assert str(error).startswith("oss://voices/a: ")
        assert message in str(error)
        assert f"({code or f'HTTP {status}'}, request R1)" in str(error)

    def test_another_region(self):
        error = failure_of(answered(403, "AccessDenied", Endpoint="oss-cn-y.aliyuncs.com")).error("oss://v/a")
        assert isinstance(error, InvalidConfiguration)
        assert "set spec.storage.endpoint to oss-cn-y.aliyuncs.com" in str(error)

    def test_something_that_is_not_oss(self):
        error = failure_of(answered(404, headers={"Server": "nginx"})).error("oss://v/a")
        assert isinstance(error, InvalidConfiguration), "else every voice would be taken for unpublished"
        assert "is not OSS" in str(error)

    @pytest.mark.parametrize(
        ("error", "patience"),
        [
            (requests.exceptions.ReadTimeout(), float("inf")),
            (requests.exceptions.ConnectTimeout(), float("inf")),
            (requests.exceptions.ConnectionError(), float("inf")),
            (requests.exceptions.ChunkedEncodingError(), float("inf")),
            (requests.exceptions.SSLError(), 60.0),
            (ConnectionResetError(), float("inf")),
            (Trouble(MISMATCH), 60.0),
        ],
    )
    def test_of_the_network(self, error, patience):
        for raised in (
            (error, oss2.exceptions.RequestError(error)) if isinstance(error, OSError) else (error,)
        ):
            failure = failure_of(raised)
            assert failure.kind is Kind.RETRIABLE
            assert failure.patience_seconds == patience

    def test_a_host_that_does_not_exist(self):
        with pytest.raises(requests.exceptions.ConnectionError) as caught:
            requests.get("http://oss.invalid/", timeout=10)
        failure = failure_of(oss2.exceptions.RequestError(caught.value))
        assert (failure.patience_seconds, failure.code) == (60.0, "NameResolutionError")

    def test_every_kind_is_an_error_of_ours(self):
        for kind in Kind:
            assert isinstance(Failure(kind, "what", "advice").error("oss://v/a"), RvcError)


def test_pauses_grow_and_are_jittered_in_full():
    clock, drawn = SimulatedTime(), []

    def uniform(low: float, high: float) -> float:
        drawn.append((low, high))
        return random.uniform(low, high)

    policy = RetryPolicy(first_pause_seconds=1.0, longest_pause_seconds=8.0, tries=7, seconds=1e6)
    patience = Patience(policy, Waiting(lambda: clock.seconds, clock.sleep, uniform))
    while patience.allows(Failure(Kind.RETRIABLE, "what", "advice"), "oss://v/a"):
        pass
    assert [high for _, high in drawn] == [1, 2, 4, 8, 8, 8, 8]
    assert len(clock.pauses) == 6
    assert {low for low, _ in drawn} == {0}


def test_checksums_agree():
    rng = random.Random(0)
    slow = without_liblzma()
    assert crc64(b"123456789") == 0x995DC9BBDF1939FA
    for size in (0, 1, 7, 1000, 70_000):
        data = rng.randbytes(size)
        half = size // 2
        assert (
            crc64(data)
            == crc64(data[half:], crc64(data[:half]))
            == slow(data, 0)
            == slow(data[half:], slow(data[:half], 0))
            == crc64_of_the_server(data)
            == slow_crc64(data)
        )


def test_a_listing_of_100_000_objects_stays_small(server, oss):
    bucket = server.buckets["voices"]
    body = bucket.receive(iter([b"sound"]))
    for number in range(100_000):
        bucket.put(f"recordings/{number:06d} speaker.wav", body, {})
    count = 0
    for found in oss.list("recordings/"):
        assert found.key == f"recordings/{count:06d} speaker.wav"
        count += 1
        if count % 33_333 == 0:
            entries = sum(type(one) is oss2.models.SimplifiedObjectInfo for one in gc.get_objects())
            assert entries <= 2 * PAGE, "a page at a time"
    assert count == 100_000
    assert server.counts["ListObjectsV2"] == 100
