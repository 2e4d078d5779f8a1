"""Local files published as objects, whole or not at all.

A small file is one PUT, a large one a multipart upload whose parts go in parallel; OSS compares the MD5 of
every body before it takes it, so nothing damaged becomes visible, and its CRC-64 of the whole is compared
with ours. The sha256 goes into the object's metadata: a write-once object that is there already is ours when
it says the same, which is also how a try whose answer was lost is recognised.

Parts are sent again one by one while the process lives. An upload that it leaves behind is not gone on with:
what comes after sends another checkpoint or output, or the same file in seconds; `sweep` removes the parts.
"""

from __future__ import annotations

import hashlib
import os
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import oss2

from rvc.errors import ObjectExists, ObjectNotFound
from rvc.store.interface import ObjectInfo
from rvc.store.oss.client import Client
from rvc.store.oss.crc64 import crc64
from rvc.store.oss.download import SHA256_HEADER, THREADS, all_or_first_error
from rvc.store.oss.failures import MISMATCH, Trouble, UploadGone

PART_BYTES = 16 << 20
"""Files up to this size are sent in one request, larger ones in parts of it."""
MOST_PARTS = 10_000
_UPLOADS = 3
"""Tries at a multipart upload that somebody else's sweep ends."""


@dataclass(frozen=True)
class Content:
    """What is to be published: an open file and its digests."""

    file: int
    size: int
    part_size: int
    sha256: str
    crc64: int
    part_md5s: tuple[str, ...]
    """In base64, of every part; one at least."""

    def part(self, number: int) -> bytes:
        """The bytes of a part, counted from 0."""
        return _read(self.file, self.part_size, number * self.part_size)


def content_of(file: int) -> Content:
    """Read an open file once for all digests."""
    size = os.fstat(file).st_size
    part_size = max(PART_BYTES, -(-size // MOST_PARTS))
    checksum, sha256, md5s = 0, hashlib.sha256(), []
    for start in range(0, max(size, 1), part_size):
        data = _read(file, part_size, start)
        checksum = crc64(data, checksum)
        sha256.update(data)
        md5s.append(b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode())
    return Content(file, size, part_size, sha256.hexdigest(), checksum, tuple(md5s))


def upload(client: Client, key: str, content: Content, overwrite: bool) -> ObjectInfo:
    """See `Store.upload`."""
    headers = {SHA256_HEADER: content.sha256}
    if not overwrite:
        headers["x-oss-forbid-overwrite"] = "true"
    try:
        if len(content.part_md5s) == 1:
            etag = _put(client, key, content, headers)
        else:
            etag = _put_parts(client, key, content, headers)
    except ObjectExists:
        there = found_there(client, key, content)
        if there is None:
            raise
        return there
    return ObjectInfo(key=key, size=content.size, etag=etag)


def _put(client: Client, key: str, content: Content, headers: dict[str, str]) -> str:
    data = content.part(0)

    def request(bucket: Any) -> str:
        return _verified(
            bucket.put_object(key, data, headers | {"Content-MD5": content.part_md5s[0]}), content
        )

    return client.call(key, request)


def _put_parts(client: Client, key: str, content: Content, headers: dict[str, str]) -> str:
    tries = 0
    while True:
        tries += 1
        try:
            return _put_parts_once(client, key, content, headers)
        except UploadGone:
            # Completed by a try whose answer was lost, or swept by somebody else.
            there = found_there(client, key, content)
            if there is not None:
                return there.etag
            if tries == _UPLOADS:
                raise


def _put_parts_once(client: Client, key: str, content: Content, headers: dict[str, str]) -> str:
    upload_id = client.call(key, lambda bucket: bucket.init_multipart_upload(key, headers).upload_id)
    try:
        return _send_parts(client, key, content, headers, upload_id)
    except UploadGone:
        raise
    except BaseException:
        client.attempt(lambda bucket: bucket.abort_multipart_upload(key, upload_id))
        raise


def _send_parts(client: Client, key: str, content: Content, headers: dict[str, str], upload_id: str) -> str:
    def send(number: int) -> Any:
        data = content.part(number)
        md5 = {"Content-MD5": content.part_md5s[number]}
        sent = client.call(
            key, lambda bucket: bucket.upload_part(key, upload_id, number + 1, data, headers=md5)
        )
        return oss2.models.PartInfo(number + 1, sent.etag)

    with ThreadPoolExecutor(THREADS, "oss-upload") as threads:
        parts = [threads.submit(send, number) for number in range(len(content.part_md5s))]
        all_or_first_error(threads, parts)
    done = [part.result() for part in parts]
    # Metadata belongs to the beginning of the upload; only the condition is repeated.
    condition = {name: value for name, value in headers.items() if name != SHA256_HEADER}
    return client.call(
        key,
        lambda bucket: _verified(
            bucket.complete_multipart_upload(key, upload_id, done, headers=condition), content
        ),
    )


def _verified(answer: Any, content: Content) -> str:
    if answer.crc is not None and answer.crc != content.crc64:
        raise Trouble(MISMATCH)
    return str(answer.etag)


def found_there(client: Client, key: str, content: Content) -> ObjectInfo | None:
    """The object if it is there and is `content`; by sha256, where it was not written by us by CRC-64."""
    try:
        found = client.call(key, lambda bucket: bucket.head_object(key))
    except ObjectNotFound:
        return None
    sha256 = found.headers.get(SHA256_HEADER)
    is_same = (
        found.content_length == content.size
        and found.server_crc in (None, content.crc64)
        and (sha256 == content.sha256 if sha256 else found.server_crc is not None)
    )
    return ObjectInfo(key=key, size=content.size, etag=found.etag) if is_same else None


def _read(file: int, size: int, start: int) -> bytes:
    data = bytearray()
    while len(data) < size and (chunk := os.pread(file, size - len(data), start + len(data))):
        data += chunk
    return bytes(data)
