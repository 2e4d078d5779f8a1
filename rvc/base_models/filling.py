"""Writing to a base-model folder: one network at a time, the others untouched."""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import torch
from safetensors.torch import save as save_safetensors

from rvc.base_models import (
    FORMAT_VERSION,
    MANIFEST_NAME,
    BaseModelFile,
    BaseModelManifest,
    read_manifest,
)
from rvc.store.local import write_atomically


@contextmanager
def filling(folder: Path) -> Iterator[None]:
    """The folder, made if it is not there, with nobody else writing to it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def put(folder: Path, name: str, tensors: dict[str, torch.Tensor], source: str) -> BaseModelFile:
    """Write one network and then a manifest that has it beside the others; while `filling` the folder."""
    # Tensors of a PyTorch file may share memory, which safetensors does not keep.
    content = save_safetensors({key: tensor.contiguous().clone() for key, tensor in tensors.items()})
    file = f"{name}.safetensors"
    write_atomically(folder / file, content)
    digest = hashlib.sha256(content).hexdigest()
    entry = BaseModelFile(file=file, size=len(content), sha256=digest, source=source)
    present = read_manifest(folder)
    models = {**(present.models if present is not None else {}), name: entry}
    manifest = BaseModelManifest(format_version=FORMAT_VERSION, models=models)
    write_atomically(folder / MANIFEST_NAME, msgspec.json.format(msgspec.json.encode(manifest), indent=2))
    return entry
