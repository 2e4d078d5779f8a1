"""PyTorch's own file format without trust: tensors and plain values come out, and nothing in a file is run.

A `.pth` is a pickle, and a pickle may call anything. Only PyTorch's reader of plain tensors
(`weights_only=True`) is used, and what it refuses is refused by name.
"""

from __future__ import annotations

import io
import re
import warnings
from pathlib import Path
from typing import Any

import torch

from rvc.errors import ArtifactCorrupt, ObjectNotFound

UNSAFE_PICKLE = "UnsafePickle"
"""Reason of the `ArtifactCorrupt` for a file that would run code, or holds more than tensors and values."""

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
        raise _refusal(shown, error) from error
    if not isinstance(content, dict):
        raise ArtifactCorrupt(f"{shown} holds {type(content).__name__}, not named tensors")
    return content


def _refusal(shown: str, error: Exception) -> ArtifactCorrupt:
    told = _REFUSED_NAME.search(str(error))
    if told is not None:
        return ArtifactCorrupt(
            f"{shown} refers to {told[1]}, which is neither tensor nor plain value; nothing of the file was "
            "run, and it cannot be used",
            reason=UNSAFE_PICKLE,
        )
    return ArtifactCorrupt(f"{shown} is no PyTorch file, or damaged or cut off; get it again")
