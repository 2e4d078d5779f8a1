"""The tensors of a fairseq checkpoint, such as `hubert_base.pt`, without fairseq and without trust.

Such a file pickles objects of fairseq's own classes beside the weights, so PyTorch's safe reader refuses it
as a whole. Here its pickle is read as data (`rvc.inert_pickle`): tensors are rebuilt from the archive's
storages by the functions below, objects of the training program stay inert, and any other name is refused.
"""

from __future__ import annotations

import io
import math
import zipfile
from typing import Any

import torch

from rvc.errors import ArtifactCorrupt
from rvc.inert_pickle import ARCHIVE_ERRORS, Allowed, Global, ordered_dict, read_pickle

_DTYPES = {
    "torch.FloatStorage": torch.float32,
    "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16,
    "torch.DoubleStorage": torch.float64,
    "torch.LongStorage": torch.int64,
    "torch.IntStorage": torch.int32,
    "torch.ShortStorage": torch.int16,
    "torch.CharStorage": torch.int8,
    "torch.ByteStorage": torch.uint8,
    "torch.BoolStorage": torch.bool,
}
_PLAIN_TYPES = ("object", "dict", "list", "tuple", "set", "int", "float", "str", "bool", "bytes")
_INERT = (
    "fairseq.",
    "omegaconf.",
    "argparse.Namespace",
    "typing.Any",
    "collections.defaultdict",
    "_codecs.encode",
    "numpy.dtype",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    *(f"{module}.{name}" for module in ("builtins", "__builtin__") for name in _PLAIN_TYPES),
    *_DTYPES,
)
"""Names in checkpoints of fairseq. Nothing of them is imported: they only say what may stand in a file."""


def read_fairseq_model(content: bytes, shown: str) -> dict[str, torch.Tensor]:
    """The tensors under `model` of a checkpoint in PyTorch's zip format.

    Raises `ArtifactCorrupt`, with the reason `UnsafePickle` for a file that names anything else than tensors
    and the classes of a training program.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            checkpoint = _Archive(archive, shown).read()
    except ARCHIVE_ERRORS as error:
        raise ArtifactCorrupt(
            f"{shown} is no PyTorch archive, or damaged or cut off; get it again"
        ) from error
    model = checkpoint.get("model") if isinstance(checkpoint, dict) else None
    if not isinstance(model, dict):
        raise ArtifactCorrupt(f"{shown} has no tensors under `model`; it is no checkpoint of fairseq")
    for name, tensor in model.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise ArtifactCorrupt(f"{shown}: {name!s} under `model` is no tensor")
    return model


_View = tuple[int, int, tuple[int, ...], tuple[int, ...]]
"""A storage, and offset, sizes and strides in it."""


class _Archive:
    """`<root>/data.pkl` and `<root>/data/<key>` of a zip file, all stored as they are."""

    def __init__(self, archive: zipfile.ZipFile, shown: str) -> None:
        self._archive = archive
        self._shown = shown
        pickles = [name for name in archive.namelist() if name.rpartition("/")[2] == "data.pkl"]
        if len(pickles) != 1 or pickles[0].count("/") != 1:
            raise ArtifactCorrupt(
                f"{shown} has {len(pickles)} entries data.pkl where one is due, below one folder"
            )
        self._root = pickles[0].partition("/")[0]
        self._storages: dict[str, torch.Tensor] = {}
        self._views: dict[_View, torch.Tensor] = {}
        self._shown_values: dict[int, int] = {}

    def read(self) -> object:
        allowed = Allowed(
            functions={
                "collections.OrderedDict": ordered_dict,
                "torch._utils._rebuild_tensor_v2": self._tensor,
                "torch._utils._rebuild_parameter": lambda tensor, *_: tensor,
            },
            inert=_INERT,
            persistent=self._storage,
        )
        return read_pickle(self._entry("data.pkl"), allowed, self._shown)

    def _storage(self, identity: Any) -> torch.Tensor:
        kind, storage, key, _, elements = identity
        dtype = _DTYPES[str(storage)] if isinstance(storage, Global) else None
        if kind != "storage" or dtype is None or not isinstance(key, str) or not key.isalnum():
            raise ValueError(f"storage {key!s}")
        if key not in self._storages:
            content = self._entry(f"data/{key}")
            self._storages[key] = (
                torch.frombuffer(bytearray(content), dtype=dtype) if content else torch.empty(0, dtype=dtype)
            )
            self._shown_values[id(self._storages[key])] = 0
        found = self._storages[key]
        if found.dtype != dtype or len(found) != elements:
            raise ValueError(f"storage {key} has {len(found)} values of {elements}")
        return found

    def _tensor(
        self, storage: torch.Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object
    ) -> torch.Tensor:
        """The part of a storage that a tensor shows, in order: a copy where it lies there in another.

        Weights that are tied show the same part and share a tensor. All others together show no more values
        than the storage has, so a small file stays small in memory.
        """
        view = (id(storage), offset, tuple(size), tuple(stride))
        if view in self._views:
            return self._views[view]
        if view[0] not in self._shown_values:
            raise ValueError("a tensor without a storage")
        values = self._shown_values[view[0]] + math.prod(size)
        if values > len(storage):
            raise ArtifactCorrupt(
                f"{self._shown}: its tensors show {values} values of a storage of {len(storage)}; it is "
                "damaged, or made to exhaust memory, and is not read; get it again"
            )
        try:
            tensor = storage.as_strided(size, stride, offset).contiguous()
        except RuntimeError as error:
            raise ValueError(str(error)) from error
        self._shown_values[view[0]] = values
        self._views[view] = tensor
        return tensor

    def _entry(self, name: str) -> bytes:
        info = self._archive.getinfo(f"{self._root}/{name}")
        if info.compress_type != zipfile.ZIP_STORED:
            raise ArtifactCorrupt(f"{self._shown}: {name} is compressed, which PyTorch never does")
        return self._archive.read(info)
