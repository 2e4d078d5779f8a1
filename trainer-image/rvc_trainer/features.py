"""Features of a dataset in the object store, beside the checkpoints: the next attempt, on whatever node,
need not hear the recordings again, and learns from the very numbers that this one learnt from.

Files of many recordings travel as one object, an archive whose name is its sha256, so that whatever is there
under a name is what was put there. Who cannot keep features goes on without: they cost time, not the voice.
"""

from __future__ import annotations

import logging
import re
import zipfile
from pathlib import Path, PurePosixPath

from rvc.digest import sha256_of
from rvc.errors import ArtifactCorrupt, ObjectNotFound, PermissionDenied, StoreUnavailable
from rvc.pod import event
from rvc.store import Store

log = logging.getLogger(__name__)

BUNDLE_BYTES = 32 << 20
"""Of features that are sent at once; some seven minutes of speech."""
_BUNDLE = re.compile(r"([0-9a-f]{64})\.features")
_FILE = re.compile(r"[0-9a-f]{64}\.npz")


class StoreFeatures:
    """A `FeatureKeeper` of the objects below `prefix` (ends in `/`); `scratch` is a folder for one bundle."""

    def __init__(self, store: Store, prefix: str, scratch: Path) -> None:
        self._store = store
        self._prefix = prefix
        self._bundle = scratch / "bundle.features"
        self._waiting: list[Path] = []
        self._bytes = 0
        self._gave_up = False

    def bring(self, folder: Path) -> None:
        """Unpack all whole bundles into a folder. Raises `PermissionDenied` and `StoreUnavailable`."""
        files = 0
        for found in list(self._store.list(self._prefix)):
            if match := _BUNDLE.fullmatch(PurePosixPath(found.key).name):
                try:
                    files += self._unpack(found.key, match[1], folder)
                except (ObjectNotFound, ArtifactCorrupt) as error:
                    event(log, "features skipped", level=logging.WARNING, bundle=found.key, defect=str(error))
        if files:
            event(log, "features of earlier attempts are used", recordings=files)

    def keep(self, path: Path) -> None:
        """Send a file with the next bundle; it must stay until then."""
        self._waiting.append(path)
        self._bytes += path.stat().st_size
        if self._bytes >= BUNDLE_BYTES:
            self.finish()

    def finish(self) -> None:
        """Send what is left."""
        waiting, self._waiting, self._bytes = self._waiting, [], 0
        if not waiting or self._gave_up:
            return
        with zipfile.ZipFile(self._bundle, "w") as archive:
            for path in waiting:
                archive.write(path, path.name)
        try:
            self._store.upload(self._bundle, f"{self._prefix}{sha256_of(self._bundle)}.features")
        except (PermissionDenied, StoreUnavailable) as error:
            self._gave_up = True
            event(log, "features are not kept", level=logging.WARNING, detail=str(error))
        finally:
            self._bundle.unlink()

    def _unpack(self, key: str, sha256: str, folder: Path) -> int:
        """How many files there were in a bundle."""
        self._store.download(key, self._bundle)
        try:
            if (found := sha256_of(self._bundle)) != sha256:
                raise ArtifactCorrupt(f"sha256 {found} instead of {sha256}")
            with zipfile.ZipFile(self._bundle) as archive:
                names = [name for name in archive.namelist() if _FILE.fullmatch(name)]
                archive.extractall(folder, names)
        finally:
            self._bundle.unlink()
        return len(names)
