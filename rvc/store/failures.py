"""The one table from errors of the operating system to ours."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from rvc.errors import (
    InvalidConfiguration,
    ObjectNotFound,
    PermissionDenied,
    RvcError,
    StoreUnavailable,
)

_TABLE: dict[int, tuple[type[RvcError], str]] = {
    errno.ENOENT: (ObjectNotFound, "put it there or correct the URI"),
    errno.ENOTDIR: (ObjectNotFound, "a part of the path is a file; correct the URI"),
    errno.EISDIR: (ObjectNotFound, "it is a folder; name a file, or a prefix that ends in '/'"),
    errno.EACCES: (PermissionDenied, "let its user (in a pod: user and group 10001) read and write there"),
    errno.EPERM: (PermissionDenied, "let its user (in a pod: user and group 10001) read and write there"),
    errno.EROFS: (PermissionDenied, "the volume is mounted read-only; use one that can be written"),
    errno.EEXIST: (InvalidConfiguration, "a file has the name of this folder; choose another name"),
    errno.ENAMETOOLONG: (InvalidConfiguration, "shorten the name"),
    errno.EINVAL: (InvalidConfiguration, "the file system refuses the name; rename it"),
    errno.ELOOP: (InvalidConfiguration, "symbolic links lead in a circle; remove them"),
    errno.ENOSPC: (StoreUnavailable, "the volume is full; free space or enlarge it"),
    errno.EDQUOT: (StoreUnavailable, "the quota is used up; free space or raise it"),
    errno.ESTALE: (StoreUnavailable, "the network volume has gone stale; it is tried again"),
}
_OTHERWISE = (StoreUnavailable, "it is tried again; look at the volume if this goes on")


@contextmanager
def store_errors(uri: str) -> Iterator[None]:
    """Turn `OSError` into the errors of `rvc.errors`, with the object's URI in the message."""
    try:
        yield
    except OSError as error:
        raise from_os_error(error, uri) from error


def from_os_error(error: OSError, place: object) -> RvcError:
    """The error of `rvc.errors` for one that concerns the file, folder or URI `place`."""
    kind, advice = _TABLE.get(error.errno or 0, _OTHERWISE)
    return kind(f"{place}: {error.strerror or error}; {advice}")
