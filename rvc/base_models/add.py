"""Bring base models that people already have into the folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

from rvc.base_models.filling import filling, put
from rvc.base_models.recognise import read_weights, recognise
from rvc.base_models.sources import SOURCES
from rvc.errors import ObjectNotFound


def add_base_model(folder: Path, path: Path, name: str | None = None) -> str:
    """Convert a file and put it into the folder, in the place of one of the same name; returns the name.

    A published file is known by its digest, any other by its tensors; `name` says what they do not. Raises
    `ObjectNotFound`, `ArtifactCorrupt` (damaged, or a file that would run code) and `InvalidConfiguration`
    (no base model, or one that cannot be told from others without a name).
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise ObjectNotFound(f"{path} does not exist") from error
    digest = hashlib.sha256(content).hexdigest()
    published = next((known for known, source in SOURCES.items() if source.sha256 == digest), None)
    found = recognise(read_weights(content, str(path)), str(path), name or published)
    del content
    with filling(folder):
        put(folder, found.name, found.tensors, f"{path.name} sha256:{digest}")
    return found.name
