"""HuBERT against the original's: the convolutions, what each layer gives, and the features of v1 and v2.

`data/hubert_<name>*.npz` belongs to `models/hubert_<name>.safetensors` and its `hubert_<name>_config.json`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from safetensors.torch import load_file

from rvc.base_models.contentvec import hubert_tensors
from rvc.content.contentvec import V1_LAYERS
from rvc.content.hubert import STRIDES, HubertNetwork, HubertSizes
from rvc.errors import InvalidConfiguration
from rvc.parity.findings import Check, Deviation, Finding, absolute, equal, not_compared

_TOLERANCE = 1e-4


def _features(path: Path) -> Iterator[Finding | Deviation]:
    models = path.parent.parent / "models"
    known = [weights.stem for weights in models.glob("hubert_*.safetensors")]
    if not any(path.stem.startswith(stem) for stem in known):
        raise InvalidConfiguration(
            f"{path} is about a network {path.stem}.safetensors in the folder `models` beside its own, and "
            "there is none; bring the file"
        )
    network = _network(models, max((stem for stem in known if path.stem.startswith(stem)), key=len))
    with np.load(path, allow_pickle=False) as arrays:
        expected = dict(arrays)
    audio = torch.from_numpy(expected.pop("wave")).float().reshape(1, -1)
    for name, theirs in expected.items():
        with torch.inference_mode():
            ours = _ours(network, audio, name)
        if ours is None:
            yield not_compared(path, name)
        else:
            yield absolute(name, ours.numpy(), theirs, _TOLERANCE)


def _ours(network: HubertNetwork, audio: torch.Tensor, name: str) -> torch.Tensor | None:
    """What an array of that name holds, without the batch; None for a name that is not known."""
    if name == "conv_features":
        return network.convolve(audio)[0]
    if name == "v1":
        return torch.as_tensor(network.final_projection(network(audio, V1_LAYERS))[0])
    if name == "v2":
        return torch.as_tensor(network(audio)[0])
    hidden = re.fullmatch(r"hidden(\d+)", name)
    return None if hidden is None else torch.as_tensor(network(audio, int(hidden[1]))[0])


def _weights(path: Path) -> Iterator[Finding]:
    """Every tensor of the file has its place in the network, and the network none that stays empty."""
    network = _network(path.parent, path.stem)
    training_only = {"masked_spec_embed"}
    yield equal("tensors", len(network.state_dict()), len(load_file(path).keys() - training_only))


def _sizes(path: Path) -> Iterator[Finding]:
    """What the tensors say of the sizes is what the configuration says."""
    stem = path.name.removesuffix("_config.json")
    config = _config(path)
    sizes = HubertSizes.of(_tensors(path.parent, stem), config["num_attention_heads"])
    for name, ours in {
        "hidden_size": sizes.width,
        "num_hidden_layers": sizes.layers,
        "intermediate_size": sizes.feed_forward_width,
        "conv_dim": [sizes.channels] * len(sizes.kernels),
        "conv_kernel": sizes.kernels,
        "conv_stride": STRIDES,
        "num_conv_pos_embeddings": sizes.position_kernel,
        "num_conv_pos_embedding_groups": sizes.position_groups,
        **({"classifier_proj_size": sizes.projection} if sizes.projection else {}),
    }.items():
        yield equal(name, ours, config[name])


def _network(models: Path, stem: str) -> HubertNetwork:
    heads = _config(models / f"{stem}_config.json")["num_attention_heads"]
    return HubertNetwork.of(_tensors(models, stem), heads)


def _tensors(models: Path, stem: str) -> dict[str, torch.Tensor]:
    state = load_file(models / f"{stem}.safetensors")
    return hubert_tensors(state, _config(models / f"{stem}_config.json")["num_attention_heads"])


def _config(path: Path) -> dict[str, Any]:
    return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])


CHECKS: Mapping[str, Check] = {
    "hubert_*.npz": _features,
    "hubert_*.safetensors": _weights,
    "hubert_*_config.json": _sizes,
}
