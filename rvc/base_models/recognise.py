"""Which base model a file is: told by the names and shapes of its tensors, and by its own name where files
of several base models look alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors

from rvc.base_models import (
    PRETRAINED_RATES_HERTZ,
    PRETRAINED_VERSIONS,
    BaseModelName,
    PretrainedPart,
    pretrained_name,
)
from rvc.base_models.contentvec import hubert_tensors, is_hubert
from rvc.base_models.convert import fcpe_tensors
from rvc.base_models.fairseq import read_fairseq_model
from rvc.errors import ArtifactCorrupt, InvalidConfiguration
from rvc.inert_pickle import UNSAFE_PICKLE
from rvc.rvc2.geometry import Geometry
from rvc.safe_pickle import load_torch_file

UNKNOWN_BASE_MODEL = "BaseModelUnknown"

Tensors = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Recognised:
    """A base model in a file, in the form in which the folder keeps it."""

    name: str
    tensors: dict[str, torch.Tensor]


def read_weights(content: bytes, shown: str) -> dict[str, Any]:
    """What is in a file of PyTorch, fairseq or safetensors; `shown` is its name.

    Raises `ArtifactCorrupt` for other and damaged files, and (`UnsafePickle`) for those that would run code.
    """
    if shown.endswith(".safetensors"):
        try:
            return dict(load_safetensors(content))
        except SafetensorError as error:
            raise ArtifactCorrupt(f"{shown} is no safetensors file, or damaged: {error}") from error
    try:
        return load_torch_file(content, shown)
    except ArtifactCorrupt as refusal:
        if refusal.reason != UNSAFE_PICKLE:
            raise
    return dict(read_fairseq_model(content, shown))


def recognise(content: Mapping[str, Any], shown: str, wanted: str | None = None) -> Recognised:
    """The base model in what `read_weights` gave; `wanted` where only a person can say which one it is.

    Raises `InvalidConfiguration` for a file that is none, cannot be told from others or is not the wanted
    one, and `ArtifactCorrupt` where tensors are missing or unknown.
    """
    if "weight" in content and "config" in content:
        raise InvalidConfiguration(
            f"{shown} is a voice and no base model; use it as a voice", reason=UNKNOWN_BASE_MODEL
        )
    model = content.get("model")
    tensors = {
        name: tensor
        for name, tensor in (model if isinstance(model, Mapping) else content).items()
        if isinstance(tensor, torch.Tensor)
    }
    try:
        for marks, names, convert in _KINDS:
            if all(mark in tensors for mark in marks):
                return Recognised(_choose(names(tensors), shown, wanted), convert(tensors))
        if is_hubert(tensors):
            return Recognised(_choose([BaseModelName.CONTENT_VEC], shown, wanted), _contentvec(tensors))
    except (KeyError, IndexError, TypeError) as error:  # of tensors that are not there, or of another shape
        raise ArtifactCorrupt(f"{shown} has only a part of a base model; get it again ({error})") from error
    raise InvalidConfiguration(
        f"{shown} is none of the base models that are known here (ContentVec, RMVPE, FCPE, CREPE, or the "
        "generators and discriminators that RVC trains from)",
        reason=UNKNOWN_BASE_MODEL,
    )


def _choose(candidates: list[str], shown: str, wanted: str | None) -> str:
    if not candidates:
        problem = "is a network of a size that no base model has"
    elif wanted is not None and wanted not in candidates:
        problem = f"is not {wanted}; its tensors are those of {' or '.join(candidates)}"
    else:
        told = [name for name in candidates if name == wanted] or _told_by_name(candidates, Path(shown).name)
        if len(told) == 1:
            return told[0]
        problem = f"does not tell which base model it is; say --as with one of {', '.join(told)}"
    raise InvalidConfiguration(f"{shown} {problem}", reason=UNKNOWN_BASE_MODEL)


def _told_by_name(candidates: list[str], file_name: str) -> list[str]:
    """Those of the candidates that a name such as `f0D40k.pth` leaves."""
    told = re.search(r"(f0)?[GD](32|40|48)k", file_name)
    if len(candidates) == 1 or told is None:
        return candidates
    return [name for name in candidates if f"-{'f0' if told[1] else 'nof0'}-{told[2]}k-" in name]


def _contentvec(tensors: Tensors) -> dict[str, torch.Tensor]:
    converted = hubert_tensors(tensors)
    width, layers = len(converted["norm.weight"]), sum(name.endswith("query.weight") for name in converted)
    if (width, layers) != (768, 12):
        raise InvalidConfiguration(
            f"this HuBERT network has {layers} layers of width {width}; ContentVec has 12 of 768",
            reason=UNKNOWN_BASE_MODEL,
        )
    return converted


def _generators(tensors: Tensors) -> list[str]:
    version = {256: "v1", 768: "v2"}.get(tensors["enc_p.emb_phone.weight"].shape[1])
    f0 = "enc_p.emb_pitch.weight" in tensors
    bins = tensors["enc_q.pre.weight"].shape[1]
    kernels: list[int] = []
    while (weight := tensors.get(f"dec.ups.{len(kernels)}.weight_v")) is not None:
        kernels.append(weight.shape[-1])
    return [
        pretrained_name(known, rate, f0, PretrainedPart.GENERATOR)
        for known in PRETRAINED_VERSIONS
        for rate in PRETRAINED_RATES_HERTZ
        if known == version
        and (geometry := Geometry.official(known, rate, f0)).spectrogram_bins == bins
        and list(geometry.upsample_kernels) == kernels
    ]


def _discriminators(tensors: Tensors) -> list[str]:
    """All of a version: discriminators look alike whatever the rate, with or without F0."""
    networks = len({name.split(".")[1] for name in tensors if name.startswith("discriminators.")})
    version = {7: "v1", 9: "v2"}.get(networks)
    return [
        pretrained_name(version, rate, f0, PretrainedPart.DISCRIMINATOR)
        for f0 in (True, False)
        for rate in PRETRAINED_RATES_HERTZ
        if version is not None
    ]


def _crepe(tensors: Tensors) -> list[str]:
    sizes = {2048: [BaseModelName.CREPE.value], 256: [BaseModelName.CREPE_TINY.value]}
    return sizes.get(tensors["classifier.weight"].shape[1], [])


_Kind = tuple[tuple[str, ...], Callable[[Tensors], list[str]], Callable[[Tensors], dict[str, torch.Tensor]]]
_KINDS: tuple[_Kind, ...] = (
    (("unet.encoder.bn.weight", "fc.1.weight"), lambda _: [BaseModelName.RMVPE.value], dict),
    (("input_stack.0.weight", "output_proj.weight_v"), lambda _: [BaseModelName.FCPE.value], fcpe_tensors),
    (("conv1.weight", "conv6_BN.weight", "classifier.weight"), _crepe, dict),
    (("enc_p.emb_phone.weight", "enc_q.pre.weight", "dec.conv_pre.weight"), _generators, dict),
    (("discriminators.0.convs.0.weight_v",), _discriminators, dict),
)
"""Tensors that a network has and no other, the base models that it may be, and how its tensors are kept."""
