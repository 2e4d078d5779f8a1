"""Objects as files below a folder: the local disk, or a mounted PersistentVolumeClaim.

Publishing: write beside the final name, sync, read back and compare, then rename. Without overwriting, a
hard link takes the place of the rename, because it alone fails when the name is taken; file systems without
hard links (some that mount object stores) get a look and a rename instead, with a small window between the
two. Unfinished files of a process that was killed are never listed; `sweep` removes them.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import shutil
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from rvc.digest import size_and_sha256
from rvc.errors import InvalidConfiguration, ObjectExists, PermissionDenied, StoreUnavailable
from rvc.store.failures import from_os_error, store_errors
from rvc.store.interface import ObjectInfo
from rvc.store.keys import TEMPORARY_PREFIX, check_key, check_prefix

_NO_HARD_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
_NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}
_FULL = {errno.ENOSPC, errno.EDQUOT}
_NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}
_CHUNK_BYTES = 1 << 20
_FILE_SYSTEM_FOLDERS = {"lost+found"}
"""In the root of a volume, and not to be read by anyone but root."""


class FolderStore:
    """A `Store` in the folder `root`, whose objects are called `uri` + key in messages."""

    def __init__(self, root: Path, uri: str) -> None:
        self._root = Path(os.path.realpath(root))
        self._uri = uri

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Objects below a prefix in the order of their keys.

        Links to files are listed, links to folders are not followed.
        """
        check_prefix(prefix)
        with store_errors(self._uri + prefix):
            yield from self._walk(self._path(prefix), prefix)

    def stat(self, key: str) -> ObjectInfo | None:
        """The object, None if there is no such file."""
        check_key(key)
        with store_errors(self._uri + key):
            path = self._path(key)
            return _info(key, path.stat()) if path.is_file() else None

    def download(self, key: str, path: Path) -> ObjectInfo:
        """Copy an object to a local file, whole or not at all; see `Store.download`."""
        check_key(key)
        with store_errors(self._uri + key), self._path(key).open("rb") as source:
            temporary = path.with_name(TEMPORARY_PREFIX + uuid.uuid4().hex)
            try:
                before = _info(key, os.fstat(source.fileno()))
                with _said_of_the_copy(path), temporary.open("wb") as target:
                    shutil.copyfileobj(source, target, _CHUNK_BYTES)
                size, after = temporary.stat().st_size, _info(key, os.fstat(source.fileno()))
                if size != after.size or after != before:
                    raise StoreUnavailable(
                        f"{self._uri}{key} gave {size} of {after.size} bytes; it is being written or was cut "
                        "off, try again"
                    )
                temporary.replace(path)
                return after
            finally:
                temporary.unlink(missing_ok=True)

    def upload(self, path: Path, key: str, *, overwrite: bool = True) -> ObjectInfo:
        """Publish a local file; see `Store.upload`."""
        with path.open("rb") as source:
            return self._publish(source, key, overwrite)

    def holds(self, key: str, path: Path) -> bool:
        """Whether an object is there with the content of a local file, by size and sha256."""
        check_key(key)
        size, sha256 = size_and_sha256(path)
        with store_errors(self._uri + key):
            there = self._path(key)
            # What has another size is not worth reading.
            return there.is_file() and there.stat().st_size == size and size_and_sha256(there)[1] == sha256

    def read_bytes(self, key: str) -> bytes:
        """Content of a small object."""
        check_key(key)
        with store_errors(self._uri + key):
            return self._path(key).read_bytes()

    def write_bytes(self, key: str, data: bytes, *, overwrite: bool = True) -> ObjectInfo:
        """Publish a small object; see `Store.upload`."""
        return self._publish(io.BytesIO(data), key, overwrite)

    def delete(self, key: str) -> None:
        """Remove an object; no error if it does not exist."""
        check_key(key)
        with store_errors(self._uri + key), suppress(FileNotFoundError, NotADirectoryError):
            self._path(key).unlink()

    def presigned_url(self, key: str, seconds: int) -> str:
        """Raise `InvalidConfiguration`: nobody answers for a folder."""
        raise InvalidConfiguration(
            f"{self._uri}{key} lies on a volume, of which there are no links; use an output.prefix on "
            "oss://, or no output.signedLinks"
        )

    def sweep(self, prefix: str, older_than: float) -> int:
        """Remove unfinished files below a prefix, last written before `older_than` (Unix time); how many."""
        check_prefix(prefix)
        swept = 0
        with store_errors(self._uri + prefix):
            for leftover in self._path(prefix).rglob(TEMPORARY_PREFIX + "*"):
                with suppress(FileNotFoundError):
                    if leftover.lstat().st_mtime < older_than:
                        leftover.unlink()
                        swept += 1
        return swept

    def _path(self, key: str) -> Path:
        """The file of a key; raises `PermissionDenied` if a symbolic link leads out of the root."""
        path = self._root / key
        if not Path(os.path.realpath(path)).is_relative_to(self._root):
            raise PermissionDenied(
                f"{self._uri}{key}: a symbolic link leads out of the volume; put the file itself there"
            )
        return path

    def _walk(self, folder: Path, prefix: str) -> Iterator[ObjectInfo]:
        try:
            with os.scandir(folder) as scan:
                entries = sorted(
                    scan, key=lambda entry: entry.name + "/" * entry.is_dir(follow_symlinks=False)
                )
        except (FileNotFoundError, NotADirectoryError):
            return
        for entry in entries:
            if entry.name.startswith(TEMPORARY_PREFIX) or (not prefix and entry.name in _FILE_SYSTEM_FOLDERS):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from self._walk(folder / entry.name, f"{prefix}{entry.name}/")
            elif (status := _file_status(entry)) is not None:
                yield _info(prefix + entry.name, status)

    def _publish(self, source: BinaryIO, key: str, overwrite: bool) -> ObjectInfo:
        check_key(key)
        with store_errors(self._uri + key):
            path = self._path(key)
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(TEMPORARY_PREFIX + uuid.uuid4().hex)
            try:
                digest = _write_synced(source, temporary)
                if size_and_sha256(temporary) != digest:
                    raise StoreUnavailable(
                        f"{self._uri}{key} read back differs from what was written; check the volume"
                    )
                if overwrite:
                    temporary.replace(path)
                elif not _claim_name(temporary, path) and size_and_sha256(path) != digest:
                    raise ObjectExists(
                        f"{self._uri}{key} is there already with other content and is never overwritten; "
                        "choose another place or remove it first"
                    )
            finally:
                temporary.unlink(missing_ok=True)
            _sync_folder(path.parent)
            return _info(key, path.stat())


@contextmanager
def _said_of_the_copy(path: Path) -> Iterator[None]:
    """Reading fills no disk: if one is full, it is that of the copy."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise from_os_error(error, path) from error


def _file_status(entry: os.DirEntry[str]) -> os.stat_result | None:
    """None for what is no file: a link that is broken or leads in a circle, and what was just removed."""
    try:
        status = entry.stat()
    except OSError as error:
        if error.errno not in _NOT_THERE:
            raise
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def _info(key: str, status: os.stat_result) -> ObjectInfo:
    etag = f"{status.st_mtime_ns:x}-{status.st_size:x}-{status.st_ino:x}"
    return ObjectInfo(key=key, size=status.st_size, etag=etag)


def _write_synced(source: BinaryIO, path: Path) -> tuple[int, str]:
    """Copy to a new file and bring it to the disk; the size and sha256 of what was read."""
    size, sha256 = 0, hashlib.sha256()
    with path.open("xb") as target:
        while chunk := source.read(_CHUNK_BYTES):
            target.write(chunk)
            size += len(chunk)
            sha256.update(chunk)
        target.flush()
        os.fsync(target.fileno())
    return size, sha256.hexdigest()


def _claim_name(temporary: Path, path: Path) -> bool:
    """Give a file its name if no other has it; whether that was so."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        if path.exists():
            return False
        temporary.replace(path)
    return True


def _sync_folder(folder: Path) -> None:
    """Bring a folder's new entry to the disk, where the file system can."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(handle)
