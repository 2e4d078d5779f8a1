"""PyTorch's own file format without trust: tensors and plain values come out, and nothing in a file is run.

A `.pth` is a pickle, and a pickle may call anything. Only PyTorch's reader of plain tensors
(`weights_only=True`) is used, and what it refuses is refused by name.
"""

from __future__ import annotations

import io
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from rvc.errors import ArtifactCorrupt, ObjectNotFound
from rvc.inert_pickle import ARCHIVE_ERRORS, UNSAFE_PICKLE, Allowed, read_pickle

_REFUSED_NAME = re.compile(r"(?:GLOBAL|reduce for unrecognized function|but got) +(<[^>]*>|[^\s,]+)")


def load_torch_file(source: Path | bytes, name: str = "") -> dict[str, Any]:
    """The dict that `torch.save` wrote, tensors on the CPU; `name` says in messages what the bytes are.

    Raises `ObjectNotFound`, and `ArtifactCorrupt` for what is no such file, with the reason `UnsafePickle`
    where a file refers to anything but tensors and plain values.
    """
    shown = name or (str(source) if isinstance(source, Path) else "the file")
    try:
        opened = source if isinstance(source, Path) else io.BytesIO(source)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about what is refused in the next moment
            content = torch.load(opened, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ObjectNotFound(f"{shown} does not exist") from error
    except (OSError, MemoryError):
        raise
    except Exception as error:  # damaged bytes reach PyTorch's reader, which raises whatever comes
        raise _refusal(source, shown, error) from error
    if not isinstance(content, dict):
        raise ArtifactCorrupt(f"{shown} holds {type(content).__name__}, not named tensors")
    return content


def _refusal(source: Path | bytes, shown: str, error: Exception) -> ArtifactCorrupt:
    told = _REFUSED_NAME.search(str(error))
    if told is not None:
        return ArtifactCorrupt(
            f"{shown} refers to {told[1]}, which is neither tensor nor plain value; nothing of the file was "
            "run, and it cannot be used",
            reason=UNSAFE_PICKLE,
        )
    try:
        read_pickle(_pickle(source), Allowed({}, ("torch.", "collections."), lambda _: None), shown)
    except ArtifactCorrupt as refusal:
        if refusal.reason == UNSAFE_PICKLE:
            return refusal
    return ArtifactCorrupt(f"{shown} is no PyTorch file, or damaged or cut off; get it again")


def _pickle(source: Path | bytes) -> bytes:
    """The pickle in a file, empty where none is found; PyTorch does not name what newer pickles refer to."""
    content = source.read_bytes() if isinstance(source, Path) else source
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = [name for name in archive.namelist() if name.endswith("data.pkl")]
            return archive.read(names[0]) if names else b""
    except ARCHIVE_ERRORS:
        return content
