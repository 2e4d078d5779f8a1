"""Training states on disk: whole or absent, and refused when they are not this training's.

A checkpoint holds all that the next step depends on, and what it was trained on and how. Going on from
another dataset's or other settings' checkpoint would give a voice that nobody asked for, so that is an error.
A damaged one is passed over with a warning; without a whole one training begins at the beginning.
"""

from __future__ import annotations

import logging
import os
import pickle
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from rvc.digest import sha256_of
from rvc.errors import ArtifactCorrupt

log = logging.getLogger(__name__)

_FORMAT = 2
_KEPT = 2
_HALF = ".partial"
_NAME = re.compile(r"epoch-(\d{8})-([0-9a-f]{64})\.checkpoint")


class CheckpointStore(Protocol):
    """Where an attempt leaves its checkpoints for the next one."""

    @property
    def starting_over(self) -> str:
        """What a person does to train from the beginning, for messages."""

    def latest(self) -> Path | None:
        """The newest checkpoint, verified, or None if there is none."""

    def save(self, path: Path, epoch: int) -> None:
        """Keep a copy of the file, whole or not at all; `epoch` says how many epochs are complete in it."""


@dataclass(frozen=True)
class Checkpoint:
    """A training between two steps."""

    identity: str
    """Digest of everything that must be equal for training to go on: dataset, networks, settings."""
    epochs_done: int
    run: dict[str, Any]
    """State of the `TrainingRun`."""
    losses: dict[str, Any]
    """State of the report on the epoch under way."""
    course: dict[str, Any]
    """State of the report on the epochs before."""


def write_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write the file `path`."""
    torch.save({"format": _FORMAT, **vars(checkpoint)}, path)


def read_checkpoint(path: Path, identity: str, device: torch.device, starting_over: str) -> Checkpoint:
    """Read a checkpoint of the training `identity`. Nothing in it is executed.

    Raises ArtifactCorrupt for a file that is damaged, no checkpoint, or another training's; the message ends
    with `starting_over`.
    """
    try:
        content = torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError) as error:
        raise ArtifactCorrupt(
            f"the checkpoint {path.name} cannot be read ({type(error).__name__}); to train from the "
            f"beginning, {starting_over}"
        ) from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise ArtifactCorrupt(
            f"{path.name} is not a checkpoint of this release; to train from the beginning, {starting_over}"
        )
    if content["identity"] != identity:
        raise ArtifactCorrupt(
            f"the checkpoint {path.name} belongs to another training (recordings, base models or settings "
            f"differ); to train from the beginning, {starting_over}"
        )
    parts = (content[name] for name in ("epochs_done", "run", "losses", "course"))
    return Checkpoint(identity, *parts)


class FolderCheckpoints:
    """Checkpoints in a local folder, the newest two; each carries its digest in its name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._damaged: set[Path] = set()
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def starting_over(self) -> str:
        """What a person does to train from the beginning."""
        return f"delete {self._folder}"

    def latest(self) -> Path | None:
        """The newest checkpoint that is what was saved, None when there is none."""
        for path in reversed(self._saved()):
            if sha256_of(path) == _digest_in_name(path):
                return path
            self._damaged.add(path)
            log.warning(
                "the checkpoint %s is damaged (its contents do not have the digest of its name); training "
                "goes on from the one before, or begins again where there is none",
                path,
            )
        return None

    def save(self, path: Path, epoch: int) -> None:
        """Copy `path` into the folder; all but the newest two that are whole go."""
        # A process that was killed while it saved has left its half.
        for half in self._folder.glob(f"*{_HALF}"):
            half.unlink()
        handle, temporary = tempfile.mkstemp(dir=self._folder, suffix=_HALF)
        with os.fdopen(handle, "wb") as file, path.open("rb") as whole:
            shutil.copyfileobj(whole, file)
            file.flush()
            os.fsync(file.fileno())
        target = self._folder / f"epoch-{epoch:08d}-{sha256_of(path)}.checkpoint"
        os.replace(temporary, target)
        self._damaged.discard(target)
        saved = self._saved()
        kept = [found for found in saved if found not in self._damaged][-_KEPT:]
        for old in saved:
            if old not in kept:
                old.unlink()

    def _saved(self) -> list[Path]:
        """Oldest first; of two of one epoch, one saved on a stop in the next, the later file counts."""
        found = [path for path in self._folder.iterdir() if _NAME.fullmatch(path.name)]
        return sorted(found, key=lambda path: (path.name.split("-")[1], path.stat().st_mtime_ns))


def _digest_in_name(path: Path) -> str:
    match = _NAME.fullmatch(path.name)
    assert match is not None
    return match[2]
