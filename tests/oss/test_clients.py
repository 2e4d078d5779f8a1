"""The server is held honest by Alibaba's own clients, with their own checks on: oss2, alibabacloud-oss-v2."""

import os
from collections.abc import Iterator

import alibabacloud_oss_v2 as oss_v2
import oss2
import pytest
import requests

from tests.oss import KEY_ID, KEY_SECRET, REGION, Account, OssServer

KEYS = ["plain", "a/b", "a b", "a+b", "50%25 #1?x=y&z", "é/ü 語 😀.wav", "~tilde*(star)'!", "=", "a%2Fb"]
PART = 128 * 1024


@pytest.fixture
def server() -> Iterator[OssServer]:
    with OssServer(domains={"voices.example.com": "voices"}) as server:
        yield server


@pytest.fixture
def bucket(server) -> oss2.Bucket:
    return oss2_bucket(server)


def oss2_bucket(server: OssServer, secret: str = KEY_SECRET, **options) -> oss2.Bucket:
    auth = oss2.AuthV4(KEY_ID, secret)
    options = {"endpoint": server.endpoint, "region": REGION} | options
    return oss2.Bucket(auth, bucket_name="voices", **options)


@pytest.fixture
def v2(server) -> oss_v2.Client:
    return v2_client(server)


def v2_client(server: OssServer, **options) -> oss_v2.Client:
    configuration = oss_v2.config.load_default()
    configuration.credentials_provider = oss_v2.credentials.StaticCredentialsProvider(
        options.pop("key_id", KEY_ID), options.pop("secret", KEY_SECRET), options.pop("token", None)
    )
    configuration.region = REGION
    configuration.endpoint = server.endpoint
    configuration.retry_max_attempts = 1
    for name, value in options.items():
        setattr(configuration, name, value)
    return oss_v2.Client(configuration)


class TestOss2:
    @pytest.mark.parametrize("key", KEYS)
    def test_objects(self, bucket, key):
        put = bucket.put_object(key, b"content", headers={"x-oss-meta-author": "ann"})
        got = bucket.get_object(key)
        assert (got.read(), got.etag, got.headers["x-oss-meta-author"]) == (b"content", put.etag, "ann")
        assert bucket.get_object(key, byte_range=(2, 4)).read() == b"nte"
        assert bucket.get_object(key, byte_range=(None, 2)).read() == b"nt"
        head = bucket.head_object(key)
        assert (head.content_length, head.server_crc) == (7, put.crc)
        assert bucket.object_exists(key)
        assert [found.key for found in oss2.ObjectIterator(bucket)] == [key]
        assert (
            requests.get(bucket.sign_url("GET", key, 60, slash_safe=True), timeout=10).content == b"content"
        )
        assert requests.put(bucket.sign_url("PUT", key, 60), data=b"new", timeout=10).status_code == 200
        bucket.copy_object("voices", key, "copy of " + key)
        assert bucket.get_object("copy of " + key).read() == b"new"
        deleted = bucket.batch_delete_objects([key, "copy of " + key])
        assert deleted.deleted_keys == [key, "copy of " + key]
        assert not bucket.object_exists(key)
        bucket.delete_object(key)

    def test_ranges_that_are_not_in_the_object(self, bucket):
        bucket.put_object("a", b"0123456789")
        assert bucket.get_object("a", byte_range=(5, 20)).status == 200
        standard = {"x-oss-range-behavior": "standard"}
        assert bucket.get_object("a", byte_range=(5, 20), headers=standard).read() == b"56789"
        with pytest.raises(oss2.exceptions.ServerError) as caught:
            bucket.get_object("a", byte_range=(10, 20), headers=standard)
        assert (caught.value.status, caught.value.code) == (416, "InvalidRange")

    @pytest.mark.parametrize("key", KEYS)
    def test_resumable_transfers(self, bucket, tmp_path, key):
        content = os.urandom(5 * PART + 11)
        (tmp_path / "file").write_bytes(content)
        store = oss2.ResumableStore(root=str(tmp_path))
        oss2.resumable_upload(
            bucket, key, str(tmp_path / "file"), store, multipart_threshold=0, part_size=PART, num_threads=2
        )
        assert bucket.head_object(key).etag.endswith("-6")
        downloads = oss2.ResumableDownloadStore(root=str(tmp_path))
        oss2.resumable_download(
            bucket, key, str(tmp_path / "back"), multiget_threshold=0, part_size=PART, store=downloads
        )
        assert (tmp_path / "back").read_bytes() == content

    def test_parts(self, server, bucket):
        upload_id = bucket.init_multipart_upload("a").upload_id
        parts = []
        for number in (1, 2, 3):
            sent = bucket.upload_part("a", upload_id, number, bytes([number]) * PART)
            parts.append(oss2.models.PartInfo(number, sent.etag, size=PART, part_crc=sent.crc))
        listed = list(oss2.PartIterator(bucket, "a", upload_id, max_parts=2))
        assert [(part.part_number, part.etag, part.size) for part in listed] == [
            (part.part_number, part.etag, part.size) for part in parts
        ]
        assert [(found.key, found.upload_id) for found in oss2.MultipartUploadIterator(bucket)] == [
            ("a", upload_id)
        ]
        with pytest.raises(oss2.exceptions.ServerError) as caught:
            bucket.complete_multipart_upload("a", upload_id, [oss2.models.PartInfo(1, "0" * 32)])
        assert caught.value.code == "InvalidPart"
        bucket.complete_multipart_upload("a", upload_id, parts)
        assert bucket.get_object("a").read() == b"".join(bytes([number]) * PART for number in (1, 2, 3))
        with pytest.raises(oss2.exceptions.NoSuchUpload):
            bucket.complete_multipart_upload("a", upload_id, parts)
        other = bucket.init_multipart_upload("b").upload_id
        bucket.abort_multipart_upload("b", other)
        with pytest.raises(oss2.exceptions.NoSuchUpload):
            bucket.list_parts("b", other)

    def test_listings(self, bucket):
        keys = sorted([f"a/{number:02d}" for number in range(25)] + ["a", "b/x/1", "b/x/2", "b/y", "c d/é"])
        for key in keys:
            bucket.put_object(key, b"x")
        for iterator in (oss2.ObjectIterator, oss2.ObjectIteratorV2):
            for size in (1, 2, 7, 1000):
                assert [found.key for found in iterator(bucket, max_keys=size)] == keys
                found = iterator(bucket, prefix="b/", delimiter="/", max_keys=size)
                assert [(one.key, one.is_prefix()) for one in found] == [("b/x/", True), ("b/y", False)]
                names = [found.key for found in iterator(bucket, delimiter="/", max_keys=size)]
                assert names == ["a", "a/", "b/", "c d/"]
        assert [found.key for found in oss2.ObjectIteratorV2(bucket, start_after="b/x/1")][:2] == [
            "b/x/2",
            "b/y",
        ]
        assert [found.key for found in oss2.ObjectIterator(bucket, marker="a/23")][:2] == ["a/24", "b/x/1"]

    def test_forbidden_overwrites(self, bucket):
        forbid = {"x-oss-forbid-overwrite": "true"}
        bucket.put_object("a", b"1", headers=forbid)
        for write in (
            lambda: bucket.put_object("a", b"2", headers=forbid),
            lambda: bucket.init_multipart_upload("a", headers=forbid),
            lambda: bucket.copy_object("voices", "a", "a", headers=forbid),
        ):
            with pytest.raises(oss2.exceptions.ServerError) as caught:
                write()
            assert (caught.value.status, caught.value.code) == (409, "FileAlreadyExists")
            assert caught.value.request_id
        upload_id = bucket.init_multipart_upload("b", headers=forbid).upload_id
        sent = bucket.upload_part("b", upload_id, 1, b"2")
        bucket.put_object("b", b"1")
        parts = [oss2.models.PartInfo(1, sent.etag, size=1, part_crc=sent.crc)]
        with pytest.raises(oss2.exceptions.ServerError) as caught:
            bucket.complete_multipart_upload("b", upload_id, parts, headers=forbid)
        assert caught.value.code == "FileAlreadyExists"

    def test_conditions_and_digests(self, bucket):
        etag = bucket.put_object("a", b"1").etag
        assert bucket.get_object("a", headers={"if-match": f'"{etag}"'}).read() == b"1"
        with pytest.raises(oss2.exceptions.PreconditionFailed):
            bucket.get_object("a", headers={"if-match": '"0"'})
        with pytest.raises(oss2.exceptions.NotModified):
            bucket.get_object("a", headers={"if-none-match": f'"{etag}"'})
        with pytest.raises(oss2.exceptions.InvalidDigest):
            bucket.put_object("a", b"2", headers={"Content-MD5": "1B2M2Y8AsgTpgAmY7PhCfg=="})
        assert bucket.get_object("a").read() == b"1"

    def test_a_domain_of_ones_own_and_the_bucket_in_the_host(self, server, bucket, monkeypatch):
        bucket.put_object("a/b", b"1")
        monkeypatch.setenv("http_proxy", server.endpoint)
        domain = oss2_bucket(server, endpoint="http://voices.example.com", is_cname=True)
        assert domain.get_object("a/b").read() == b"1"
        host = oss2_bucket(server, endpoint="http://oss-cn-test.aliyuncs.com")
        assert host.get_object("a/b").read() == b"1"

    @pytest.mark.parametrize("operation", ["get_object", "head_object", "object_exists"])
    def test_wrong_keys(self, server, operation):
        wrong = oss2_bucket(server, secret="wrong")
        with pytest.raises(oss2.exceptions.SignatureDoesNotMatch):
            getattr(wrong, operation)("a")
        with pytest.raises(oss2.exceptions.ServerError) as caught:
            oss2.Bucket(oss2.AuthV4("nobody", "x"), server.endpoint, "voices", region=REGION).get_object("a")
        assert caught.value.code == "InvalidAccessKeyId"
        with pytest.raises(oss2.exceptions.SignatureDoesNotMatch):
            oss2.Bucket(oss2.AuthV4(KEY_ID, KEY_SECRET), server.endpoint, "voices", region="cn-y").get_object(
                "a"
            )

    def test_clocks_sessions_and_rights(self, server, bucket):
        server.skew_seconds = 3600
        with pytest.raises(oss2.exceptions.ServerError) as caught:
            bucket.get_object("a")
        assert caught.value.code == "RequestTimeTooSkewed"
        link = bucket.sign_url("GET", "a", 60)
        assert "<Message>Request has expired" in requests.get(link, timeout=10).text
        server.skew_seconds = 0.0
        server.accounts[KEY_ID] = Account(KEY_SECRET, allows=lambda operation, key: key.startswith("mine/"))
        bucket.put_object("mine/a", b"")
        with pytest.raises(oss2.exceptions.AccessDenied):
            bucket.put_object("a", b"")

    def test_links_are_signed_as_a_whole(self, bucket):
        bucket.put_object("a", b"1")
        bucket.put_object("b", b"2")
        link = bucket.sign_url("GET", "a", 60)
        assert requests.get(link, timeout=10).content == b"1"
        for forged in (
            link.replace("/a?", "/b?"),
            link.replace("x-oss-expires=60", "x-oss-expires=6000"),
            link + "&response-content-type=text/html",
        ):
            answer = requests.get(forged, timeout=10)
            assert (answer.status_code, "<Code>SignatureDoesNotMatch</Code>" in answer.text) == (403, True)
        assert requests.delete(link, timeout=10).status_code == 403
        assert requests.get(link.partition("?")[0], timeout=10).status_code == 403


class TestV2:
    @pytest.mark.parametrize("key", KEYS)
    def test_objects(self, v2, key):
        request = oss_v2.PutObjectRequest(
            bucket="voices", key=key, body=b"content", metadata={"author": "ann"}
        )
        put = v2.put_object(request)
        got = v2.get_object(oss_v2.GetObjectRequest(bucket="voices", key=key))
        assert (got.body.content, got.etag, got.metadata["author"]) == (b"content", put.etag, "ann")
        part = oss_v2.GetObjectRequest(
            bucket="voices", key=key, range_header="bytes=2-4", range_behavior="standard"
        )
        assert v2.get_object(part).body.content == b"nte"
        head = v2.head_object(oss_v2.HeadObjectRequest(bucket="voices", key=key))
        assert (head.content_length, head.hash_crc64) == (7, put.hash_crc64)
        link = v2.presign(oss_v2.GetObjectRequest(bucket="voices", key=key))
        assert requests.get(link.url, headers=link.signed_headers, timeout=10).content == b"content"
        for number in range(3):
            v2.put_object(oss_v2.PutObjectRequest(bucket="voices", key=f"{key}{number}", body=b""))
        expected = [key, *(f"{key}{number}" for number in range(3))]
        pages = v2.list_objects_v2_paginator(limit=2)
        listed = pages.iter_page(oss_v2.ListObjectsV2Request(bucket="voices"))
        assert [found.key for page in listed for found in page.contents] == expected
        v2.copy_object(
            oss_v2.CopyObjectRequest(bucket="voices", key="copy", source_bucket="voices", source_key=key)
        )
        doomed = [oss_v2.DeleteObject(key=name) for name in [*expected, "copy"]]
        v2.delete_multiple_objects(
            oss_v2.DeleteMultipleObjectsRequest(bucket="voices", encoding_type="url", objects=doomed)
        )
        assert not v2.is_object_exist("voices", key)

    def test_transfers(self, v2, tmp_path):
        content = os.urandom(5 * PART + 11)
        (tmp_path / "file").write_bytes(content)
        uploader = v2.uploader(part_size=PART, parallel_num=2)
        target = oss_v2.PutObjectRequest(bucket="voices", key="é b")
        assert uploader.upload_file(target, str(tmp_path / "file")).etag.endswith('-6"')
        downloader = v2.downloader(part_size=PART, parallel_num=2)
        source = oss_v2.GetObjectRequest(bucket="voices", key="é b")
        downloader.download_file(source, str(tmp_path / "back"))
        assert (tmp_path / "back").read_bytes() == content

    def test_refusals(self, server, v2):
        def code_of(client: oss_v2.Client) -> str:
            with pytest.raises(oss_v2.exceptions.OperationError) as caught:
                client.get_object(oss_v2.GetObjectRequest(bucket="voices", key="a"))
            error = caught.value.unwrap()
            assert isinstance(error, oss_v2.exceptions.ServiceError)
            assert error.request_id
            return error.code

        assert code_of(v2) == "NoSuchKey"
        assert code_of(v2_client(server, secret="wrong")) == "SignatureDoesNotMatch"
        assert code_of(v2_client(server, key_id="nobody")) == "InvalidAccessKeyId"
        assert code_of(v2_client(server, token="made up")) == "InvalidSecurityToken"
        assert code_of(v2_client(server, region="cn-y")) == "SignatureDoesNotMatch"

    def test_additional_headers_are_signed(self, server):
        client = v2_client(server, additional_headers=["host", "content-length"])
        client.put_object(oss_v2.PutObjectRequest(bucket="voices", key="a", body=b"1"))
        assert client.get_object(oss_v2.GetObjectRequest(bucket="voices", key="a")).body.content == b"1"
