"""The objects and multipart uploads of one bucket: what OSS keeps, without HTTP.

Bodies lie in files of a folder, a name for each and never written over, so that a reader keeps the version
that it has opened. Everything else is in memory and changes under one lock.
"""

from __future__ import annotations

import hashlib
import threading
import time
import uuid
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from tests.oss.crc64 import crc64
from tests.oss.errors import OssError, already_exists, invalid_argument, no_such_key, no_such_upload

SMALLEST_PART_BYTES = 100 * 1024
MOST_PARTS = 10_000
_CHUNK_BYTES = 1 << 20
_INLINE_BYTES = 512


@dataclass(frozen=True)
class Body:
    """Bytes that were received: in memory when few, else in a file."""

    size: int
    md5: bytes
    crc64: int
    inline: bytes = b""
    path: Path | None = None

    def chunks(self, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes from `start` to before `end`."""
        end = self.size if end is None else end
        if self.path is None:
            yield self.inline[start:end]
            return
        with self.path.open("rb") as file:
            file.seek(start)
            while start < end and (chunk := file.read(min(_CHUNK_BYTES, end - start))):
                start += len(chunk)
                yield chunk


@dataclass(frozen=True)
class StoredObject:
    """An object as it was published."""

    key: str
    body: Body
    etag: str
    metadata: Mapping[str, str]
    """Headers that come back with it: Content-Type, x-oss-meta-..., and the like."""
    modified: float
    kind: str = "Normal"


@dataclass
class Upload:
    """A multipart upload that was begun."""

    key: str
    upload_id: str
    metadata: Mapping[str, str]
    initiated: float
    parts: dict[int, StoredObject] = field(default_factory=dict)


@dataclass(frozen=True)
class Page:
    """Some of the keys and common prefixes of a listing."""

    objects: Sequence[StoredObject]
    prefixes: Sequence[str]
    next_after: str
    """Where the next page begins, empty when this was the last."""


class Bucket:
    """Objects and uploads. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.RLock()
        self._objects: dict[str, StoredObject] = {}
        self._keys: list[str] = []
        self._uploads: dict[str, Upload] = {}

    def receive(self, chunks: Iterator[bytes]) -> Body:
        """Take in a body."""
        head = bytearray()
        for chunk in chunks:
            head += chunk
            if len(head) > _INLINE_BYTES:
                break
        else:
            data = bytes(head)
            md5 = hashlib.md5(data, usedforsecurity=False)
            return Body(len(data), md5.digest(), crc64(data), inline=data)
        return self._spool(chain([bytes(head)], chunks))

    def put(
        self, key: str, body: Body, metadata: Mapping[str, str], *, overwrite: bool = True
    ) -> StoredObject:
        """Publish an object."""
        return self._publish(
            StoredObject(key, body, body.md5.hex().upper(), dict(metadata), time.time()), overwrite
        )

    def get(self, key: str) -> StoredObject:
        """The object; raises `OssError` NoSuchKey."""
        with self._lock:
            found = self._objects.get(key)
        if found is None:
            raise no_such_key(key)
        return found

    def has(self, key: str) -> bool:
        """Whether there is an object."""
        return key in self._objects

    def delete(self, key: str) -> None:
        """Remove an object; nothing happens when it does not exist."""
        with self._lock:
            if self._objects.pop(key, None) is not None:
                del self._keys[bisect_left(self._keys, key)]

    def list(self, prefix: str, delimiter: str, after: str, most: int) -> Page:
        """Keys below a prefix and behind `after`, in the order of their bytes."""
        objects: list[StoredObject] = []
        prefixes: list[str] = []
        last = after
        with self._lock:
            index = bisect_left(self._keys, prefix) if after < prefix else bisect_right(self._keys, after)
            while index < len(self._keys) and (key := self._keys[index]).startswith(prefix):
                group = _group(key, prefix, delimiter)
                if group and after.startswith(group):
                    index = bisect_left(self._keys, _behind(group), index)
                    continue
                if len(objects) + len(prefixes) == most:
                    return Page(objects, prefixes, last)
                if group:
                    prefixes.append(group)
                    last = group
                    index = bisect_left(self._keys, _behind(group), index)
                else:
                    objects.append(self._objects[key])
                    last = key
                    index += 1
        return Page(objects, prefixes, "")

    def begin(self, key: str, metadata: Mapping[str, str], *, overwrite: bool) -> Upload:
        """Begin a multipart upload."""
        with self._lock:
            if not overwrite and key in self._objects:
                raise already_exists()
            upload = Upload(key, uuid.uuid4().hex.upper(), dict(metadata), time.time())
            self._uploads[upload.upload_id] = upload
            return upload

    def upload(self, key: str, upload_id: str) -> Upload:
        """The multipart upload; raises `OssError` NoSuchUpload."""
        upload = self._uploads.get(upload_id)
        if upload is None or upload.key != key:
            raise no_such_upload()
        return upload

    def put_part(self, key: str, upload_id: str, number: int, body: Body) -> StoredObject:
        """Take a part, in place of one with the same number."""
        if not 1 <= number <= MOST_PARTS:
            raise invalid_argument("Part number must be an integer between 1 and 10000, inclusive.")
        with self._lock:
            upload = self.upload(key, upload_id)
            part = StoredObject(key, body, body.md5.hex().upper(), {}, time.time())
            _forget(upload.parts.get(number))
            upload.parts[number] = part
            return part

    def complete(
        self, key: str, upload_id: str, wanted: Sequence[tuple[int, str]], *, overwrite: bool
    ) -> StoredObject:
        """Publish the parts that are named, by number and ETag, as one object."""
        with self._lock:
            upload = self.upload(key, upload_id)
            parts = _checked_parts(upload, wanted)
            if not overwrite and key in self._objects:
                raise already_exists()
            body = self.receive(chunk for part in parts for chunk in part.body.chunks())
            digest = hashlib.md5(b"".join(part.body.md5 for part in parts), usedforsecurity=False)
            etag = f"{digest.hexdigest().upper()}-{len(parts)}"
            stored = StoredObject(key, body, etag, upload.metadata, time.time(), kind="Multipart")
            self._publish(stored, overwrite)
            self.abort(key, upload_id)
            return stored

    def abort(self, key: str, upload_id: str) -> None:
        """Forget an upload and its parts."""
        with self._lock:
            upload = self.upload(key, upload_id)
            del self._uploads[upload_id]
            for part in upload.parts.values():
                _forget(part)

    def uploads(self, prefix: str = "") -> list[Upload]:
        """Multipart uploads that are neither completed nor aborted, by key and id."""
        with self._lock:
            found = [upload for upload in self._uploads.values() if upload.key.startswith(prefix)]
        return sorted(found, key=lambda upload: (upload.key, upload.upload_id))

    def keys(self) -> list[str]:
        """All keys."""
        with self._lock:
            return list(self._keys)

    def _spool(self, chunks: Iterator[bytes]) -> Body:
        size, checksum, md5 = 0, 0, hashlib.md5(usedforsecurity=False)
        path = self._folder / uuid.uuid4().hex
        with path.open("xb") as file:
            for chunk in chunks:
                file.write(chunk)
                size += len(chunk)
                checksum = crc64(chunk, checksum)
                md5.update(chunk)
        return Body(size, md5.digest(), checksum, path=path)

    def _publish(self, stored: StoredObject, overwrite: bool) -> StoredObject:
        with self._lock:
            if stored.key not in self._objects:
                insort(self._keys, stored.key)
            elif not overwrite:
                raise already_exists()
            self._objects[stored.key] = stored
        return stored


def _group(key: str, prefix: str, delimiter: str) -> str:
    """The common prefix that a key is listed under, empty for none."""
    if not delimiter or (end := key.find(delimiter, len(prefix))) < 0:
        return ""
    return key[: end + len(delimiter)]


def _behind(prefix: str) -> str:
    """The first text behind all that begin with `prefix`."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def _checked_parts(upload: Upload, wanted: Sequence[tuple[int, str]]) -> list[StoredObject]:
    numbers = [number for number, _ in wanted]
    if not wanted or numbers != sorted(set(numbers)):
        raise OssError(400, "InvalidPartOrder", "The list of parts was not in ascending order.")
    parts = []
    for number, etag in wanted:
        part = upload.parts.get(number)
        if part is None or part.etag != etag.strip('"'):
            raise OssError(400, "InvalidPart", "One or more of the specified parts could not be found.")
        parts.append(part)
    if any(part.body.size < SMALLEST_PART_BYTES for part in parts[:-1]):
        raise OssError(400, "EntityTooSmall", "Your proposed upload smaller than the minimum allowed size.")
    return parts


def _forget(part: StoredObject | None) -> None:
    if part is not None and part.body.path is not None:
        part.body.path.unlink(missing_ok=True)
