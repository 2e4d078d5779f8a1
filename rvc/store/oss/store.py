"""A bucket as a `Store`."""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from rvc.contract import LONGEST_LINK_SECONDS, StoreSettings
from rvc.errors import InvalidConfiguration, ObjectNotFound, PermissionDenied
from rvc.pod import event
from rvc.store.interface import ObjectInfo
from rvc.store.keys import check_key, check_prefix, is_key
from rvc.store.oss.address import address_of
from rvc.store.oss.client import Client
from rvc.store.oss.credentials import CredentialsSource, credentials_from
from rvc.store.oss.download import download, fetch
from rvc.store.oss.failures import UploadGone
from rvc.store.oss.retry import RetryPolicy, Waiting
from rvc.store.oss.upload import content_of, found_there, upload

log = logging.getLogger(__name__)

PAGE = 1000
"""Objects in one answer to a listing, the most that OSS gives."""
_BUCKET = re.compile(r"[a-z0-9][-a-z0-9]{1,61}[a-z0-9]")


class OssStore:
    """The objects of one bucket. Thread-safe."""

    def __init__(
        self,
        bucket: str,
        settings: StoreSettings,
        environment: Mapping[str, str],
        *,
        credentials: CredentialsSource | None = None,
        policy: RetryPolicy | None = None,
        waiting: Waiting | None = None,
    ) -> None:
        """Open a bucket by what the settings and the environment say; nothing is asked of OSS yet.

        Raises `InvalidConfiguration`, and `PermissionDenied` (`CredentialsMissing`).
        """
        if not _BUCKET.fullmatch(bucket):
            raise InvalidConfiguration(
                f"oss://{bucket}/: {bucket!r} is no name of a bucket; write oss://bucket/path"
            )
        try:
            credentials = credentials or credentials_from(environment)
        except PermissionDenied as error:
            raise PermissionDenied(f"oss://{bucket}/: {error}", reason=error.reason) from None
        address = address_of(bucket, settings, environment)
        self._client = Client(bucket, address, credentials, policy or RetryPolicy(), waiting or Waiting())

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Objects below a prefix in the order of their keys, a page in memory at a time.

        What has no key of ours is left out: the empty objects that stand for folders in OSS's console, and
        names that no file can have, of which the log tells.
        """
        check_prefix(prefix)
        token, more = "", True
        while more:
            page = self._client.call(prefix, _page(prefix, token))
            for found in page.object_list:
                if is_key(found.key):
                    yield ObjectInfo(key=found.key, size=found.size, etag=found.etag)
                elif not found.key.endswith("/"):
                    event(
                        log,
                        "object left out",
                        level=logging.WARNING,
                        uri=self._client.uri,
                        key=repr(found.key),
                    )
            token, more = page.next_continuation_token, page.is_truncated

    def stat(self, key: str) -> ObjectInfo | None:
        """The object, None if it does not exist."""
        check_key(key)
        try:
            found = self._client.call(key, lambda bucket: bucket.head_object(key))
        except ObjectNotFound:
            return None
        return ObjectInfo(key=key, size=found.content_length, etag=found.etag)

    def download(self, key: str, path: Path) -> ObjectInfo:
        """Bring an object to a local file, whole or not at all; see `Store.download`.

        Raises `ObjectNotFound`, and `ArtifactCorrupt` for one that is not what was uploaded.
        """
        check_key(key)
        return download(self._client, key, path)

    def upload(self, path: Path, key: str, *, overwrite: bool = True) -> ObjectInfo:
        """Publish a local file; see `Store.upload`."""
        check_key(key)
        with path.open("rb") as file:
            return upload(self._client, key, content_of(file.fileno()), overwrite)

    def holds(self, key: str, path: Path) -> bool:
        """Whether an object is there with the content of a local file, by what OSS says of it."""
        check_key(key)
        with path.open("rb") as file:
            return found_there(self._client, key, content_of(file.fileno())) is not None

    def read_bytes(self, key: str) -> bytes:
        """Content of a small object; raises as `download` does."""
        check_key(key)
        with tempfile.TemporaryFile() as file:
            fetch(self._client, key, file.fileno())
            return file.read()

    def write_bytes(self, key: str, data: bytes, *, overwrite: bool = True) -> ObjectInfo:
        """Publish a small object; see `Store.upload`."""
        check_key(key)
        with tempfile.TemporaryFile() as file:
            file.write(data)
            file.flush()
            return upload(self._client, key, content_of(file.fileno()), overwrite)

    def delete(self, key: str) -> None:
        """Remove an object; no error if it does not exist."""
        check_key(key)
        with suppress(ObjectNotFound):
            self._client.call(key, lambda bucket: bucket.delete_object(key))

    def sweep(self, prefix: str, older_than: float) -> int:
        """End the multipart uploads below a prefix that began before `older_than` (Unix time); how many."""
        check_prefix(prefix)
        swept, after, more = 0, ("", ""), True
        while more:
            page = self._client.call(prefix, _uploads(prefix, *after))
            for found in page.upload_list:
                if found.initiation_date < older_than:
                    swept += self._end_upload(found.key, found.upload_id)
            after, more = (page.next_key_marker, page.next_upload_id_marker), page.is_truncated
        return swept

    def presigned_url(self, key: str, seconds: int) -> str:
        """A link with which anybody may read an object for `seconds` (at most 7 days).

        It leads to the public endpoint, also where we use the one inside the region. Keys of a role's session
        end it earlier, with the session.
        """
        check_key(key)
        return self._client.presigned_url(key, min(seconds, LONGEST_LINK_SECONDS))

    def _end_upload(self, key: str, upload_id: str) -> bool:
        try:
            self._client.call(key, lambda bucket: bucket.abort_multipart_upload(key, upload_id))
        except UploadGone:
            return False
        return True


def _page(prefix: str, token: str) -> Callable[[Any], Any]:
    return lambda bucket: bucket.list_objects_v2(prefix=prefix, continuation_token=token, max_keys=PAGE)


def _uploads(prefix: str, key_marker: str, upload_id_marker: str) -> Callable[[Any], Any]:
    return lambda bucket: bucket.list_multipart_uploads(
        prefix=prefix, key_marker=key_marker, upload_id_marker=upload_id_marker, max_uploads=PAGE
    )
