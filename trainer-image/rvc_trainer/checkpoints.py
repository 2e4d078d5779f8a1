"""Checkpoints in the object store, so that the next attempt goes on where this one ended, on whatever node.

A checkpoint is two objects: `00000007.checkpoint` and, written after it is verified, `00000007.json` with its
size and sha256. Without the second the first does not exist, and a record is never written over. They are
sent while training goes on. The last two good ones are kept: should the newest turn out damaged, training
goes on from the one before.
"""

from __future__ import annotations

import logging
import os
import re
import uuid
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType

import msgspec
from msgspec import Struct

from rvc.digest import sha256_of, size_and_sha256
from rvc.errors import ArtifactCorrupt, ObjectNotFound
from rvc.pod import event
from rvc.store import Store
from rvc_trainer.background import Background

log = logging.getLogger(__name__)

KEPT_CHECKPOINTS = 2
_NAME = re.compile(r"(\d{8})\.(checkpoint|json)")


class CheckpointRecord(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What a published checkpoint is."""

    epoch: int
    size: int
    sha256: str


@dataclass(frozen=True)
class _Saved:
    """A checkpoint that waits for its turn."""

    path: Path
    epoch: int


class StoreCheckpoints:
    """The checkpoints of one training, below `prefix` (ends in `/`); local copies are kept in `scratch`.

    `uri` is what people call the folder of all checkpoints. A context manager: at its end all is sent.
    """

    def __init__(self, store: Store, prefix: str, scratch: Path, uri: str) -> None:
        self._store = store
        self._prefix = prefix
        self._scratch = scratch
        self._uri = uri
        self._damaged: set[int] = set()
        self.background = Background(self._publish, lambda saved: saved.path.unlink())

    @property
    def starting_over(self) -> str:
        """What a person does to train from the beginning."""
        return f"change spec.dataset.revision, or delete the checkpoints in {self._uri}"

    def latest(self) -> Path | None:
        """A verified local copy of the newest checkpoint that is whole, None when there is none."""
        for number in reversed(self._recorded(self._names())):
            path = self._scratch / f"{number:08d}.checkpoint"
            defect = self._fetch(number, path)
            if defect is None:
                event(log, "training goes on from a checkpoint", checkpoint=self._key(number, "checkpoint"))
                return path
            path.unlink(missing_ok=True)
            self._damaged.add(number)
            key = self._key(number, "checkpoint")
            event(log, "checkpoint skipped", level=logging.WARNING, checkpoint=key, defect=defect)
        return None

    def save(self, path: Path, epoch: int) -> None:
        """Have a checkpoint with `epoch` complete epochs published while training goes on.

        The file is not written to any more, but may be removed. Should the one before have failed, this one
        is waited for, and its error raised if it fails as well.
        """
        link = self._scratch / f"{uuid.uuid4().hex}.saved"
        os.link(path, link)
        self.background.put(_Saved(link, epoch))

    def __enter__(self) -> StoreCheckpoints:
        self.background.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.background.__exit__(kind, error, trace)

    def _publish(self, saved: _Saved) -> None:
        """Publish a checkpoint, then remove all but it and the last good one before it."""
        names = self._names()
        number = max(names, default=0) + 1
        size, sha256 = size_and_sha256(saved.path)
        record = CheckpointRecord(epoch=saved.epoch, size=size, sha256=sha256)
        self._store.upload(saved.path, self._key(number, "checkpoint"))
        self._store.write_bytes(self._key(number, "json"), msgspec.json.encode(record))
        event(log, "checkpoint published", epoch=saved.epoch, bytes=record.size)
        good = [old for old in self._recorded(names) if old not in self._damaged]
        kept = {number, *good[1 - KEPT_CHECKPOINTS :]}
        for old in sorted(names.keys() - kept):
            # Without its record a checkpoint is none, whatever happens in between.
            for extension in sorted(names[old], reverse=True):
                self._store.delete(self._key(old, extension))

    def _names(self) -> dict[int, set[str]]:
        """Extensions of what is there, by number."""
        names: dict[int, set[str]] = {}
        for found in self._store.list(self._prefix):
            if match := _NAME.fullmatch(PurePosixPath(found.key).name):
                names.setdefault(int(match[1]), set()).add(match[2])
        return names

    @staticmethod
    def _recorded(names: dict[int, set[str]]) -> list[int]:
        return sorted(number for number, extensions in names.items() if "json" in extensions)

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
        except (ObjectNotFound, ArtifactCorrupt) as error:
            return str(error)
        sha256 = sha256_of(path)
        return None if sha256 == record.sha256 else f"sha256 {sha256} instead of {record.sha256}"


def sweep(store: Store, prefix: str) -> None:
    """Remove everything below `prefix`: the voice is published and nobody goes on from here."""
    for key in [found.key for found in store.list(prefix)]:
        store.delete(key)
