"""PyTorch's own file format without trust: tensors and plain values come out, and nothing in a file is run.

A `.pth` is a pickle, and a pickle may call anything. Only PyTorch's reader of plain tensors
(`weights_only=True`) is used, and what it refuses is refused by name. What would end the process inside that
reader (a key of tuples in tuples, an archive that unpacks to more than it is) is refused before.
"""

from __future__ import annotations

import io
import itertools
import pickletools
import re
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import torch

from rvc.errors import ArtifactCorrupt, ObjectNotFound
from rvc.inert_pickle import ARCHIVE_ERRORS, UNSAFE_PICKLE, Allowed, read_pickle

_ARCHIVE_BEGINS = b"PK\x03\x04"
_PICKLES_OF_THE_OLDER_FORMAT = 5
_MOST_TUPLES = 50_000
"""In a pickle: five times those of a training checkpoint. Python hashes a tuple by recursion without a limit,
and twice as many within each other overflow a thread's stack."""
_MOST_OF_A_PICKLE = 16 << 20
"""Bytes that are read to name what a refused file refers to; the pickle of a training checkpoint has a few
hundred thousand, before the tensors."""
_TUPLES = frozenset(("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"))
_REFUSED_NAME = re.compile(r"(?:GLOBAL|reduce for unrecognized function|but got) +(<[^>]*>|[^\s,]+)")


def load_torch_file(source: Path | bytes, name: str = "") -> dict[str, Any]:
    """The dict that `torch.save` wrote, tensors on the CPU; `name` says in messages what the bytes are.

    Raises `ObjectNotFound`, and `ArtifactCorrupt` for what is no such file, with the reason `UnsafePickle`
    where a file refers to anything but tensors and plain values.
    """
    shown = name or (str(source) if isinstance(source, Path) else "the file")
    try:
        _require_harmless(source, shown)
        opened = source if isinstance(source, Path) else io.BytesIO(source)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about what is refused in the next moment
            content = torch.load(opened, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ObjectNotFound(f"{shown} does not exist") from error
    except (OSError, MemoryError, ArtifactCorrupt):
        raise
    except Exception as error:  # damaged bytes reach PyTorch's reader, which raises whatever comes
        raise _refusal(source, shown, error) from error
    if not isinstance(content, dict):
        raise ArtifactCorrupt(f"{shown} holds {type(content).__name__}, not named tensors")
    return content


def _require_harmless(source: Path | bytes, shown: str) -> None:
    """Raise ArtifactCorrupt for a file that is written to exhaust stack or memory of whoever reads it."""
    with source.open("rb") if isinstance(source, Path) else io.BytesIO(source) as file:
        for pickled in _pickles(file, shown):
            if _tuples(pickled) > _MOST_TUPLES:
                raise ArtifactCorrupt(
                    f"{shown} has more than {_MOST_TUPLES} tuples, which no model has; it is damaged, or "
                    "made to exhaust memory"
                )


def _tuples(pickled: IO[bytes]) -> int:
    """How many a pickle makes, counted until they are too many; what is damaged PyTorch's reader tells."""
    tuples = 0
    with suppress(ValueError, OverflowError, MemoryError):
        for operation, _, _ in pickletools.genops(pickled):
            tuples += operation.name in _TUPLES
            if tuples > _MOST_TUPLES:
                break
    return tuples


def _pickles(file: IO[bytes], shown: str) -> Iterator[IO[bytes]]:
    """What PyTorch's reader would unpickle of a file, in its order."""
    if file.read(len(_ARCHIVE_BEGINS)) != _ARCHIVE_BEGINS:
        file.seek(0)
        yield from itertools.repeat(file, _PICKLES_OF_THE_OLDER_FORMAT)
        return
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise ArtifactCorrupt(
                    f"{shown} is a compressed archive, which PyTorch does not write; it is not read"
                )
            for entry in entries:
                if entry.filename.endswith("data.pkl"):
                    yield io.BytesIO(archive.read(entry))
    except ARCHIVE_ERRORS as error:
        raise ArtifactCorrupt(f"{shown} is no PyTorch file, or damaged or cut off; get it again") from error


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
    """The pickle in a file, or its beginning; empty where none is found.

    PyTorch does not name what newer pickles refer to. The tensors beside the pickle are not read.
    """
    with source.open("rb") if isinstance(source, Path) else io.BytesIO(source) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                names = [name for name in archive.namelist() if name.endswith("data.pkl")]
                if not names:
                    return b""
                with archive.open(names[0]) as entry:
                    return entry.read(_MOST_OF_A_PICKLE)
        except ARCHIVE_ERRORS:
            file.seek(0)
            return file.read(_MOST_OF_A_PICKLE)
