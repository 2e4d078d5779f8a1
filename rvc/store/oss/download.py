"""Objects brought to local files, whole or not at all.

One GET brings a small object; of a large one it tells the size, and ranges then come in parallel. What breaks
off goes on from the byte it had reached. All of it belongs to one version of the object (by ETag), and the
file is read again at the end: its length, CRC-64 and, for objects of ours, sha256 are those that OSS names.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rvc.errors import ArtifactCorrupt, StoreUnavailable
from rvc.store.failures import from_os_error
from rvc.store.interface import ObjectInfo
from rvc.store.keys import TEMPORARY_PREFIX
from rvc.store.oss.client import Client
from rvc.store.oss.crc64 import crc64
from rvc.store.oss.failures import PARTIAL, WRONG_RANGE, Changed, Trouble

RANGE_BYTES = 16 << 20
"""Objects up to this size come in one request, larger ones in parts of it."""
THREADS = 4
SHA256_HEADER = "x-oss-meta-sha256"
_VERSIONS = 4
"""Tries at an object that is another one, or not what its checksum says, each time."""
_CHUNK_BYTES = 1 << 15
"""What is lost at most when a connection breaks off in good order."""


@dataclass(frozen=True)
class _Version:
    """What the headers say of an object."""

    etag: str
    size: int
    crc64: int | None
    sha256: str | None


def download(client: Client, key: str, path: Path) -> ObjectInfo:
    """See `Store.download`; `path` appears when it is verified."""
    temporary = path.with_name(TEMPORARY_PREFIX + uuid.uuid4().hex)
    try:
        file = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
    except OSError as error:
        raise from_os_error(error, path) from error
    try:
        try:
            found = fetch(client, key, file)
        finally:
            os.close(file)
        temporary.replace(path)
        return found
    finally:
        temporary.unlink(missing_ok=True)


def fetch(client: Client, key: str, file: int) -> ObjectInfo:
    """Write an object into an open file, over what is there, and verify it; the version that it is."""
    defect = ""
    for _ in range(_VERSIONS):
        try:
            version = _receive(client, key, file)
        except Changed as error:
            defect = str(error)
            continue
        defect = _defect(client.uri + key, file, version)
        if not defect:
            return ObjectInfo(key=key, size=version.size, etag=version.etag)
    raise StoreUnavailable(f"{defect} ({_VERSIONS} times); it is tried again, look at the network's proxies")


def _receive(client: Client, key: str, file: int) -> _Version:
    os.ftruncate(file, 0)
    first = _First(key, file)
    version = client.call(key, first.request, lambda: first.reached)
    if version.size > RANGE_BYTES:
        starts = range(0, version.size, RANGE_BYTES)
        ranges = [
            _Range(key, file, version, start, min(start + RANGE_BYTES, version.size)) for start in starts
        ]
        with ThreadPoolExecutor(THREADS, "oss-download") as threads:
            results = [
                threads.submit(client.call, key, part.request, lambda part=part: part.reached)
                for part in ranges
            ]
            all_or_first_error(threads, results)
    return version


def all_or_first_error(threads: ThreadPoolExecutor, results: Sequence[Future[Any]]) -> None:
    """Wait for all; after an error what has not begun does not begin."""
    try:
        for result in as_completed(results):
            result.result()
    except BaseException:
        threads.shutdown(wait=False, cancel_futures=True)
        raise


class _Range:
    """Some bytes of a version, and how far they have come."""

    def __init__(self, key: str, file: int, version: _Version, start: int, end: int) -> None:
        self._key = key
        self._file = file
        self._version = version
        self._end = end
        self.reached = start

    def request(self, bucket: Any) -> None:
        """Ask for what is not there yet."""
        answer = bucket.get_object(
            self._key,
            byte_range=(self.reached, self._end - 1),
            headers={"if-match": f'"{self._version.etag}"', "x-oss-range-behavior": "standard"},
        )
        if answer.content_range != f"bytes {self.reached}-{self._end - 1}/{self._version.size}":
            answer.close()
            raise Trouble(WRONG_RANGE)
        self.store(answer)

    def store(self, answer: Any) -> None:
        """Write the body to its place."""
        with closing(answer):
            # oss2 has read an empty body itself.
            body = answer.resp.response.iter_content(_CHUNK_BYTES) if self.reached < self._end else ()
            for chunk in body:
                try:
                    self.reached += os.pwrite(self._file, chunk, self.reached)
                except OSError as error:
                    raise from_os_error(error, "the local copy") from error
        if self.reached != self._end:
            raise Trouble(PARTIAL if self.reached < self._end else WRONG_RANGE)


class _First:
    """The request that tells the version, and brings the whole of it where it is small."""

    def __init__(self, key: str, file: int) -> None:
        self._key = key
        self._file = file
        self._version: _Version | None = None
        self._whole: _Range | None = None

    @property
    def reached(self) -> int:
        return self._whole.reached if self._whole else 0

    def request(self, bucket: Any) -> _Version:
        """Ask for all; if that has been done, for what is not there yet."""
        if self._version is not None and self._whole is not None:
            self._whole.request(bucket)
            return self._version
        answer = bucket.get_object(self._key)
        self._version = version = _version_of(answer)
        if version.size > RANGE_BYTES:
            answer.close()
        else:
            self._whole = _Range(self._key, self._file, version, 0, version.size)
            self._whole.store(answer)
        return version


def _version_of(answer: Any) -> _Version:
    if answer.content_length is None or not answer.etag:
        answer.close()
        raise Trouble(PARTIAL)
    return _Version(answer.etag, answer.content_length, answer.server_crc, answer.headers.get(SHA256_HEADER))


def _defect(uri: str, file: int, version: _Version) -> str:
    """What is wrong with a file that arrived; raises `ArtifactCorrupt` when OSS itself holds it so."""
    size, checksum, sha256 = 0, 0, hashlib.sha256()
    while chunk := os.pread(file, _CHUNK_BYTES, size):
        size += len(chunk)
        checksum = crc64(chunk, checksum)
        sha256.update(chunk)
    if size != version.size:
        return f"{uri} arrived with {size} of {version.size} bytes"
    if version.crc64 is not None and checksum != version.crc64:
        return f"{uri} arrived with the CRC-64 {checksum} instead of {version.crc64}"
    if version.sha256 is not None and sha256.hexdigest() != version.sha256:
        if version.crc64 is None:
            return f"{uri} arrived with the sha256 {sha256.hexdigest()} instead of {version.sha256}"
        raise ArtifactCorrupt(
            f"{uri} is not what was uploaded: its sha256 is {sha256.hexdigest()}, not {version.sha256}; "
            "put the right file there"
        )
    return ""
