"""From URIs to stores.

`oss://bucket/key` is an object of Alibaba Cloud OSS, whose library is loaded when the first is opened;
`pvc://claim/path` is the file `path` in the claim's volume, mounted in our pods below `RVC_CLAIMS_FOLDER`
(default /mnt/claims); `file:///path` is a local file, for the command line. Paths are taken as they are
written: no percent signs are decoded, so any file name can be named.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

from rvc.contract import CLAIMS_FOLDER, CLAIMS_FOLDER_VARIABLE, StoreSettings
from rvc.errors import InvalidConfiguration, ObjectNotFound
from rvc.store.folder import FolderStore
from rvc.store.interface import Store
from rvc.store.keys import check_key, check_prefix

_CLAIM = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


def open_store(
    uri: str, settings: StoreSettings | None = None, *, sleep: Callable[[float], None] = time.sleep
) -> tuple[Store, str]:
    """The store that a URI points into, and the key or prefix (if it ends in `/`) there.

    `settings` are for object stores; folders need none. `sleep` pauses before a request is repeated, and may
    raise to give up. Raises `InvalidConfiguration` for a URI that is none, `ObjectNotFound` for a claim that
    is not mounted, `PermissionDenied` (`CredentialsMissing`) for an object store without credentials.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator:
        raise InvalidConfiguration(
            f"{uri!r} is no URI; write oss://bucket/path, pvc://claim/path or file:///path"
        )
    if scheme == "file":
        return _open_file(uri, rest)
    if scheme == "pvc":
        return _open_claim(uri, rest)
    if scheme == "oss":
        return _open_bucket(rest, settings or StoreSettings(), sleep)
    raise InvalidConfiguration(
        f"{uri}: {scheme}:// is no kind of storage here; use oss://, pvc:// or file://"
    )


def _open_bucket(rest: str, settings: StoreSettings, sleep: Callable[[float], None]) -> tuple[Store, str]:
    try:
        from rvc.store.oss.retry import Waiting
        from rvc.store.oss.store import OssStore
    except ModuleNotFoundError as error:
        raise InvalidConfiguration(
            f"oss://{rest}: the package {error.name} is not installed; install rvc-operator[oss]"
        ) from error
    bucket, _, path = rest.partition("/")
    key = _checked(path)
    return OssStore(bucket, settings, os.environ, waiting=Waiting(sleep=sleep)), key


def _open_file(uri: str, rest: str) -> tuple[Store, str]:
    if not rest.startswith("/"):
        raise InvalidConfiguration(f"{uri}: file URIs name no host; write file:///path with three slashes")
    return FolderStore(Path("/"), "file:///"), _checked(rest[1:])


def _open_claim(uri: str, rest: str) -> tuple[Store, str]:
    claim, _, key = rest.partition("/")
    if not _CLAIM.fullmatch(claim):
        raise InvalidConfiguration(
            f"{uri}: {claim!r} is no name of a PersistentVolumeClaim; write pvc://claim/path"
        )
    root = Path(os.environ.get(CLAIMS_FOLDER_VARIABLE) or CLAIMS_FOLDER) / claim
    if not root.is_dir():
        raise ObjectNotFound(
            f"{uri}: the claim {claim} is not mounted in this pod ({root} does not exist); a server mounts "
            "the claims of its voice's storage and of its Conversions: check the name of the claim",
            reason="ClaimNotMounted",
        )
    return FolderStore(root, f"pvc://{claim}/"), _checked(key)


def _checked(key: str) -> str:
    if key.endswith("/"):
        check_prefix(key)
    elif key:
        check_key(key)
    return key
