"""Files of the community against those of the original: read, written again as they were, merged."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from rvc.community.index_file import COMMUNITY_PROBES, community_index, read_index
from rvc.community.index_file import check_index as check_index_bytes
from rvc.community.inference_model import MOST_BYTES, InferenceModel, read_inference_model
from rvc.community.merge import merge_models
from rvc.community.voice import export_voice, import_voice
from rvc.community.weights import read_pth
from rvc.parity.findings import Check, Deviation, Finding, absolute, equal
from rvc.voice import open_voice

_SPEAKERS = "emb_g.weight"


def check_model(path: Path) -> Iterable[Finding]:
    """`*.pth`: brought into a voice folder and exported again, it is the file that it was."""
    with tempfile.TemporaryDirectory(prefix="rvc-") as scratch:
        folder = Path(scratch)
        import_voice(path, None, folder / "voice", name=path.stem)
        (exported,) = export_voice(open_voice(folder / "voice"), folder / "exported")
        ours, theirs = (read_pth(one, MOST_BYTES) for one in (exported, path))
    yield equal("keys in order", [type(ours), *ours] == [type(theirs), *theirs], True)
    for key in [key for key in theirs if key in ours and key != "weight"]:
        yield equal(key, _typed(ours[key]) == _typed(theirs[key]), True)
    weights = ours["weight"], theirs["weight"]
    yield equal("weight: names in order", *([type(one).__name__, *one] for one in weights))
    yield equal(
        "weight: types and shapes", *([_layout(one[name]) for name in theirs["weight"]] for one in weights)
    )
    yield equal("weight: bits", *(_digest(one) for one in weights))


def check_index(path: Path) -> Iterable[Finding | Deviation]:
    """`*.index`: every byte accounted for, and exported again as it was."""
    index = read_index(path)
    _, content = community_index(index.content, "fixture", "v2")
    if index.cells and index.probes != COMMUNITY_PROBES:
        yield Deviation(
            "probes", f"written as {COMMUNITY_PROBES}, as RVC programs do, and not {index.probes}"
        )
        again = check_index_bytes(content, path.name)
        yield equal(
            "rows, dimension and cells", *((one.rows, one.dimension, one.cells) for one in (again, index))
        )
    else:
        yield equal("exported again, byte by byte", content == path.read_bytes(), True)


def check_merge(path: Path) -> Iterable[Finding]:
    """`merge.npz`: A and half of A and a tenth, with fewer speakers, made into one.

    The file does not name A: it is the model beside it that fits what is stored.
    """
    with np.load(path, allow_pickle=False) as stored:
        arrays = dict(stored)
    fitting = [model for model in _models(path) if _fits(model, arrays)]
    merged = [_merged(model, arrays) for model in fitting]
    digest = str(arrays["sha_all"])
    same = [model for model in merged if _digest(model.tensors) == digest]
    yield equal("sha256 of all weights", len(same) > 0, True)
    model = (same or merged)[0]
    for name, theirs in _stored_tensors(arrays).items():
        yield absolute(name, model.tensors[name].float().numpy(), theirs, 0.0)


def _models(path: Path) -> list[InferenceModel]:
    return [read_inference_model(one) for one in sorted((path.parent.parent / "models").glob("*.pth"))]


def _fits(model: InferenceModel, arrays: Mapping[str, np.ndarray]) -> bool:
    geometry = model.geometry
    if (str(arrays["sr"]), int(arrays["f0"])) != (f"{geometry.sample_rate_hertz // 1000}k", geometry.f0):
        return False
    stored = _stored_tensors(arrays)
    return all(model.tensors[name].shape[1:] == tensor.shape[1:] for name, tensor in stored.items())


def _merged(first: InferenceModel, arrays: Mapping[str, np.ndarray]) -> InferenceModel:
    speakers = len(_stored_tensors(arrays)[_SPEAKERS])
    tensors = {name: (0.5 * tensor.float() + 0.1).half() for name, tensor in first.tensors.items()}
    tensors[_SPEAKERS] = tensors[_SPEAKERS][:speakers]
    second = replace(first, geometry=first.geometry.with_speakers(speakers), tensors=tensors)
    return merge_models(first, second, float(arrays["alpha"]), str(arrays["info"]))


def _stored_tensors(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays of weights by the names of the weights, which `keys` lists in the arrays' order."""
    weights = [array for array in arrays.values() if array.dtype.kind == "f" and array.ndim > 0]
    return dict(zip(map(str, arrays["keys"]), weights, strict=True))


def _digest(tensors: Mapping[str, torch.Tensor]) -> str:
    """Of all weights, one after the other in the order of their names."""
    sha256 = hashlib.sha256()
    for name in sorted(tensors):
        sha256.update(tensors[name].numpy().tobytes())
    return sha256.hexdigest()


def _layout(tensor: torch.Tensor) -> str:
    return f"{tensor.dtype} {list(tensor.shape)}"


def _typed(value: object) -> object:
    """A value together with the types of all that is in it; 1 and True are equal, and not the same."""
    inside = [_typed(item) for item in value] if isinstance(value, list | tuple) else value
    return type(value), inside


CHECKS: Mapping[str, Check] = {
    "merge*.npz": check_merge,
    "*.index": check_index,
    "*.pth": check_model,
}
