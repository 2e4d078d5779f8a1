"""Weights in a `.pth` as plain tensors: bounded, dense, finite, and under the names of the official files.

The file's own words decide how much memory it takes to read it, so they are held against its size on the
disk before anything is allocated.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from rvc.errors import ArtifactCorrupt, ObjectNotFound
from rvc.inert_pickle import ARCHIVE_ERRORS
from rvc.safe_pickle import load_torch_file

POSTERIOR_PREFIX = "enc_q."
"""Of the weights that only training needs; no voice for conversion holds them."""
_PARAMETRIZED = re.compile(r"(.*)\.parametrizations\.weight\.original([01])")
_MAGNITUDE_AND_DIRECTION = {"0": "weight_g", "1": "weight_v"}
_PRECISIONS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def read_pth(path: Path, most_bytes: int) -> dict[str, Any]:
    """The dict in a `.pth` file of at most `most_bytes`.

    Raises ObjectNotFound, and ArtifactCorrupt for a file that is too large, damaged, packed, or refers to
    anything but tensors and plain values.
    """
    if not path.is_file():
        raise ObjectNotFound(f"{path} is not there, or no file; name a model file (.pth)")
    size = path.stat().st_size
    if size > most_bytes:
        raise ArtifactCorrupt(
            f"{path} has {size} bytes; no such file of an RVC voice has more than {most_bytes}"
        )
    _require_unpacked(path, size)
    return load_torch_file(path)


def plain_weights(named: object, stored_bytes: int, shown: str) -> dict[str, torch.Tensor]:
    """The tensors of a state dict under their official names, contiguous, in the precision of the file.

    Args:
        named: what a file holds in the place of its weights.
        stored_bytes: size of the file; tensors that claim more than it can hold are refused.
        shown: name of the file in messages.

    Raises ArtifactCorrupt for what is no state dict of finite numbers.
    """
    if not isinstance(named, Mapping) or not named or not all(isinstance(name, str) for name in named):
        raise ArtifactCorrupt(f"{shown} holds no named weights; it is no RVC voice, or damaged")
    weights: dict[str, torch.Tensor] = {}
    claimed = 0
    for name, tensor in named.items():
        if not isinstance(tensor, torch.Tensor) or tensor.layout is not torch.strided:
            raise ArtifactCorrupt(f"{shown}: {name} is no plain tensor but {type(tensor).__name__}")
        if tensor.dtype not in _PRECISIONS:
            raise ArtifactCorrupt(f"{shown}: the weights {name} are {tensor.dtype}, not floating point")
        claimed += tensor.numel() * tensor.element_size()
        if claimed > stored_bytes:
            raise ArtifactCorrupt(
                f"{shown} claims more numbers than it has bytes for (at {name}); it is damaged, or made to "
                "exhaust memory"
            )
        official = official_name(name)
        if official in weights:
            raise ArtifactCorrupt(f"{shown} has the weights {official} twice, under two names")
        weights[official] = tensor.detach().contiguous()
    for name, tensor in weights.items():
        _require_numbers(name, tensor, shown)
    return weights


def official_name(name: str) -> str:
    """The name that official files have for a weight; newer PyTorch calls those of weight norm otherwise."""
    match = _PARAMETRIZED.fullmatch(name)
    return name if match is None else f"{match[1]}.{_MAGNITUDE_AND_DIRECTION[match[2]]}"


def as_half(weights: Mapping[str, torch.Tensor], shown: str) -> dict[str, torch.Tensor]:
    """Weights rounded to half precision, in which voices are exchanged; raises ArtifactCorrupt beyond it."""
    halves = {name: tensor.half() for name, tensor in weights.items()}
    for name, tensor in halves.items():
        _require_numbers(name, tensor, shown)
    return halves


def _require_numbers(name: str, tensor: torch.Tensor, shown: str) -> None:
    if not torch.isfinite(tensor).all():
        raise ArtifactCorrupt(
            f"{shown}: the weights {name} hold numbers that are none (NaN or infinite in half precision); "
            "the voice was damaged in training or since, get another copy"
        )


def _require_unpacked(path: Path, size: int) -> None:
    """PyTorch stores its archives without compression; one that unpacks to more than it is was made to."""
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
            packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist())
    except ARCHIVE_ERRORS:
        return  # an older format of PyTorch, or damaged, which its reader tells
    if packed or unpacked > size:
        raise ArtifactCorrupt(
            f"{path} is a compressed archive ({unpacked} bytes in {size}), which PyTorch does not write; "
            "it is not read"
        )
