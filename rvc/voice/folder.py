"""A voice in a local folder: write its manifest, or open it and check every byte."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from rvc.digest import size_and_sha256
from rvc.errors import ArtifactCorrupt, ObjectNotFound
from rvc.retrieval import RetrievalIndex
from rvc.store.local import write_atomically
from rvc.voice.manifest import (
    MANIFEST_NAME,
    FileEntry,
    VoiceManifest,
    decode_manifest,
    digest_of,
    encode_manifest,
    is_plain_name,
)

TENSORS_NAME = "voice.safetensors"
INDEX_NAME = "index.faiss"
SPOKEN_WITH = (TENSORS_NAME, INDEX_NAME)
"""The files that a conversion needs; the others are for people and other programs."""


@dataclass(frozen=True)
class Voice:
    """An opened voice; its files have been checked."""

    folder: Path
    manifest: VoiceManifest
    digest: str
    """`sha256:...` of the manifest's bytes."""
    size_bytes: int
    """Of all files of the voice, manifest included, be they here or not."""

    def tensors(self) -> dict[str, torch.Tensor]:
        """Weights and statistics by name; raises `ArtifactCorrupt`."""
        try:
            return load_file(self.folder / TENSORS_NAME)
        except SafetensorError as error:
            raise ArtifactCorrupt(
                f"{self.folder / TENSORS_NAME} is no safetensors file ({error}); train the voice again"
            ) from error

    def index(self) -> RetrievalIndex | None:
        """The retrieval index, None for a voice without one; raises `ArtifactCorrupt`."""
        if INDEX_NAME not in self.manifest.files:
            return None
        return RetrievalIndex.load(self.folder / INDEX_NAME)


def write_manifest(folder: Path, manifest: VoiceManifest) -> VoiceManifest:
    """Complete a voice folder: describe the files in it, then write the manifest, atomically.

    Returns the manifest with its files. Raises `ArtifactCorrupt` when weights are missing, or when
    a field holds what cannot be read back (a metric that is not a number).
    """
    files = {
        path.name: _describe(path)
        for path in sorted(folder.iterdir())
        if path.is_file() and is_plain_name(path.name)
    }
    text = encode_manifest(msgspec.structs.replace(manifest, files=files))
    written = decode_manifest(text, MANIFEST_NAME)
    _require_files(written, str(folder))
    write_atomically(folder / MANIFEST_NAME, text)
    return written


def open_voice(folder: Path, expected_digest: str | None = None, only: Container[str] | None = None) -> Voice:
    """Open a voice folder; check sizes and sha256 of all files, and of the manifest if one is expected.

    `only` names the files that have to be there, None for all.

    Raises `ObjectNotFound` where there is no manifest, `ArtifactCorrupt` for whatever is not as it should
    be.
    """
    path = folder / MANIFEST_NAME
    try:
        text = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ObjectNotFound(
            f"{folder} holds no voice (no {MANIFEST_NAME}); name the folder that `rvc train` wrote"
        ) from error
    digest = digest_of(text)
    if expected_digest is not None and digest != expected_digest:
        raise ArtifactCorrupt(
            f"{path} is {digest}, expected {expected_digest}; fetch or publish the voice again"
        )
    manifest = decode_manifest(text, str(path))
    _require_files(manifest, str(path))
    for name, entry in manifest.files.items():
        if only is None or name in only:
            _check(folder / name, entry)
    size = len(text) + sum(entry.size for entry in manifest.files.values())
    return Voice(folder=folder, manifest=manifest, digest=digest, size_bytes=size)


def _require_files(manifest: VoiceManifest, where: str) -> None:
    if TENSORS_NAME not in manifest.files:
        raise ArtifactCorrupt(f"{where}: a voice needs {TENSORS_NAME}; train the voice again")


def _describe(path: Path) -> FileEntry:
    size, sha256 = size_and_sha256(path)
    return FileEntry(size=size, sha256=sha256)


def _check(path: Path, entry: FileEntry) -> None:
    try:
        found = _describe(path)
    except FileNotFoundError as error:
        raise ArtifactCorrupt(f"{path} is missing; fetch or train the voice again") from error
    if found.size != entry.size:
        raise ArtifactCorrupt(
            f"{path} has {found.size} bytes, its manifest says {entry.size}; fetch or train the voice again"
        )
    if found.sha256 != entry.sha256:
        raise ArtifactCorrupt(
            f"{path} has sha256 {found.sha256}, its manifest {entry.sha256}; fetch or train the voice again"
        )
