"""Checkpoints in the object store, so that the next attempt goes on where this one ended, on whatever node.

A checkpoint is two objects: `00000007.checkpoint` and, written after it is verified, `00000007.json` with its
size and sha256. Without the second the first does not exist, and neither is ever written over. The last two
are kept: should the newest turn out damaged, training goes on from the one before.
"""

from __future__ import annotations

import hashlib
import logging
import re
from pathlib import Path, PurePosixPath

import msgspec
from msgspec import Struct

from rvc.errors import ObjectNotFound
from rvc.pod import event
from rvc.store import Store

log = logging.getLogger(__name__)

KEPT_CHECKPOINTS = 2
_RECORD = re.compile(r"(\d{8})\.json")


class CheckpointRecord(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What a published checkpoint is."""

    epoch: int
    size: int
    sha256: str


class StoreCheckpoints:
    """The checkpoints of one training, below `prefix` (ends in `/`); copies are fetched into `scratch`.

    `uri` is what people call the folder of all checkpoints.
    """

    def __init__(self, store: Store, prefix: str, scratch: Path, uri: str) -> None:
        self._store = store
        self._prefix = prefix
        self._scratch = scratch
        self._uri = uri

    @property
    def starting_over(self) -> str:
        """What a person does to train from the beginning."""
        return f"change spec.dataset.revision, or delete the checkpoints in {self._uri}"

    def latest(self) -> Path | None:
        """A verified local copy of the newest checkpoint that is whole, None when there is none."""
        for number in reversed(self._numbers()):
            path = self._scratch / f"{number:08d}.checkpoint"
            defect = self._fetch(number, path)
            if defect is None:
                event(log, "training goes on from a checkpoint", checkpoint=self._key(number, "checkpoint"))
                return path
            path.unlink(missing_ok=True)
            key = self._key(number, "checkpoint")
            event(log, "checkpoint skipped", level=logging.WARNING, checkpoint=key, defect=defect)
        return None

    def save(self, path: Path, epoch: int) -> None:
        """Publish a checkpoint with `epoch` complete epochs, then remove all but the newest two."""
        number = max(self._numbers(), default=0) + 1
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        record = CheckpointRecord(epoch=epoch, size=path.stat().st_size, sha256=sha256)
        self._store.upload(path, self._key(number, "checkpoint"))
        self._store.write_bytes(self._key(number, "json"), msgspec.json.encode(record))
        event(log, "checkpoint published", epoch=epoch, bytes=record.size)
        for old in self._numbers()[:-KEPT_CHECKPOINTS]:
            self._store.delete(self._key(old, "json"))
            self._store.delete(self._key(old, "checkpoint"))

    def _numbers(self) -> list[int]:
        names = (PurePosixPath(found.key).name for found in self._store.list(self._prefix))
        return sorted(int(match[1]) for name in names if (match := _RECORD.fullmatch(name)))

    def _key(self, number: int, extension: str) -> str:
        return f"{self._prefix}{number:08d}.{extension}"

    def _fetch(self, number: int, path: Path) -> str | None:
        """Download and verify one checkpoint; what is wrong with it, or None."""
        try:
            text = self._store.read_bytes(self._key(number, "json"))
            record = msgspec.json.decode(text, type=CheckpointRecord)
            self._store.download(self._key(number, "checkpoint"), path)
        except msgspec.MsgspecError as error:
            return f"its record cannot be read: {error}"
        except ObjectNotFound as error:
            return str(error)
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return None if sha256 == record.sha256 else f"sha256 {sha256} instead of {record.sha256}"


def sweep(store: Store, prefix: str) -> None:
    """Remove everything below `prefix`: the voice is published and nobody goes on from here."""
    for key in [found.key for found in store.list(prefix)]:
        store.delete(key)
