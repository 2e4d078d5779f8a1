"""The `.pth` in which voices are exchanged: six keys in the original's files, more in those of others.

Read widely: files of the original program, of Applio and of rvc_next differ in what they say beside the
weights, not in the weights. Written narrowly: exactly the original's six keys in its order, with its types,
so that every program opens the file, and reading it again gives the same bits.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from rvc.community.weights import as_half, plain_weights, read_pth
from rvc.errors import ArtifactCorrupt, InvalidConfiguration
from rvc.rvc2.geometry import OFFICIAL_RATES_HERTZ, SPEAKER_TABLE, Geometry
from rvc.rvc2.state import check_state, shapes_of, state_shapes

OFFICIAL_KEYS = ("weight", "config", "info", "sr", "f0", "version")
MOST_BYTES = 1 << 30
"""Ten times the largest voice in single precision."""
_VOCODER = "HiFi-GAN"
_CONTENT_VEC = frozenset(("contentvec", "hubert_base"))
"""Names of the one content encoder that voices of the community are spoken with; it came as hubert_base."""
_MOST_LAYERS = 64
_MOST_CHANNELS = 1 << 16
_MOST_CLAIMS = 32
_LONGEST_CLAIM = 256


@dataclass(frozen=True)
class InferenceModel:
    """A voice as the community passes it on, checked."""

    geometry: Geometry
    tensors: Mapping[str, torch.Tensor]
    """fp16, under the official names and in their order, without the posterior encoder."""
    info: str = ""
    """What the file says of its training, such as `200epoch`."""
    speaker_names: tuple[str, ...] = ()
    """By speaker number, as far as the file names them."""
    median_f0_hertz: float | None = None
    claims: Mapping[str, str] = field(default_factory=dict)
    """Everything else that the file says of itself, unchecked."""


def read_inference_model(path: Path) -> InferenceModel:
    """Read a `.pth`.

    Raises ObjectNotFound; ArtifactCorrupt for what is no voice, with the reason `UnsafePickle` for a file
    that wants something called; InvalidConfiguration for voices of a kind that this release cannot speak.
    """
    return inference_model(read_pth(path, MOST_BYTES), path.stat().st_size, str(path))


def inference_model(content: Mapping[str, Any], stored_bytes: int, shown: str) -> InferenceModel:
    """The voice in a loaded file of `stored_bytes`; raises as `read_inference_model` does."""
    if "weight" not in content or "config" not in content:
        raise ArtifactCorrupt(
            f"{shown} is no RVC voice: it has no `weight` and `config`, but {_listed(content)}"
        )
    _require_known_kind(content, shown)
    weights = plain_weights(content["weight"], stored_bytes, shown)
    geometry = geometry_of(content, weights, shown)
    expected = state_shapes(geometry)
    check_state(expected, shapes_of(weights), shown)
    return InferenceModel(
        geometry=geometry,
        tensors=as_half({name: weights[name] for name in expected}, shown),
        info=content["info"] if isinstance(content.get("info"), str) else "",
        speaker_names=_speaker_names(content.get("speaker_info"), geometry.speakers),
        median_f0_hertz=_median_f0(content.get("f0_median")),
        claims=_claims(content),
    )


def geometry_of(content: Mapping[str, Any], weights: Mapping[str, torch.Tensor], shown: str) -> Geometry:
    """Sizes that a file states; those of the table of speakers win over its `config`."""
    version = content.get("version", "v1")
    config = content["config"]
    table = weights.get(SPEAKER_TABLE)
    if isinstance(config, list | tuple) and len(config) > 17 and config[17] not in OFFICIAL_RATES_HERTZ:
        raise InvalidConfiguration(
            f"{shown} has {config[17]!r} samples a second (Applio's 24 kHz voices do); this release speaks "
            "RVC voices of 32000, 40000 and 48000",
            reason="VoiceUnsupported",
        )
    try:
        geometry = Geometry.from_config(config, version, _pitch_guided(content.get("f0", 1), shown))
    except ArtifactCorrupt as error:
        raise ArtifactCorrupt(f"{shown}: {error}") from error
    require_plausible(geometry, shown)
    return geometry if table is None else geometry.with_speakers(max(1, len(table)))


def inference_model_content(model: InferenceModel) -> OrderedDict[str, Any]:
    """What an official file of this voice holds: its keys, order and types."""
    geometry = model.geometry
    return OrderedDict(
        weight=dict(model.tensors),
        config=geometry.to_config(),
        info=model.info,
        sr=f"{geometry.sample_rate_hertz // 1000}k",
        f0=int(geometry.f0),
        version=geometry.version,
    )


def write_inference_model(model: InferenceModel, path: Path) -> None:
    """Write the official file of this voice, whole or not at all."""
    # PyTorch writes the file's name into the file, so the temporary one has the same.
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as scratch:
        torch.save(inference_model_content(model), Path(scratch) / path.name)
        (Path(scratch) / path.name).replace(path)


def _require_known_kind(content: Mapping[str, Any], shown: str) -> None:
    """Voices that this release would speak wrongly say so themselves, in files of Applio."""
    vocoder = content.get("vocoder") or _VOCODER
    if vocoder != _VOCODER:
        raise InvalidConfiguration(
            f"{shown} is a voice of Applio with the vocoder {vocoder}; this release speaks {_VOCODER} voices",
            reason="VoiceUnsupported",
        )
    embedder = content.get("embedder_model")
    if isinstance(embedder, str) and embedder and _plain(embedder) not in _CONTENT_VEC:
        raise InvalidConfiguration(
            f"{shown} was learnt with the content encoder {embedder}; this release has ContentVec, with "
            "which that voice would babble",
            reason="VoiceUnsupported",
        )


def _plain(embedder: str) -> str:
    return embedder.lower().replace("-", "_").rstrip("/").rpartition("/")[2]


def _pitch_guided(stated: object, shown: str) -> bool:
    if stated in (1, "1", "True", "true"):
        return True
    if stated in (0, "0", "False", "false"):
        return False
    raise ArtifactCorrupt(f"{shown} says f0 {stated!r}, which is neither 1 (pitch-guided) nor 0")


def require_plausible(geometry: Geometry, shown: str) -> None:
    """Sizes are a file's own words; keep the network that they ask for within reason before laying it out.

    Raises ArtifactCorrupt.
    """
    counts = (geometry.layers, len(geometry.upsample_rates), len(geometry.resblock_kernels))
    widths = (
        geometry.spectrogram_bins, geometry.inter_channels, geometry.hidden_channels,
        geometry.filter_channels, geometry.heads, geometry.kernel_size, geometry.upsample_initial_channel,
        geometry.speakers, geometry.speaker_channels,
        *geometry.upsample_kernels, *geometry.resblock_kernels,
    )  # fmt: skip
    dilations = [len(row) for row in geometry.resblock_dilations]
    if max(*counts, *dilations) > _MOST_LAYERS or max(widths) > _MOST_CHANNELS:
        raise ArtifactCorrupt(f"{shown} asks for a network far beyond the sizes of any RVC voice")


def _speaker_names(stated: object, speakers: int) -> tuple[str, ...]:
    """Names by number from rvc_next's list of {id, name}; empty where there is none."""
    if not isinstance(stated, list):
        return ()
    names = {}
    for entry in stated:
        if isinstance(entry, dict) and isinstance(entry.get("name"), str):
            number = entry.get("id")
            if type(number) is int and 0 <= number < speakers:
                names[number] = entry["name"][:_LONGEST_CLAIM]
    return tuple(names.get(number, "") for number in range(max(names, default=-1) + 1))


def _median_f0(stated: object) -> float | None:
    if isinstance(stated, int | float) and math.isfinite(stated) and stated > 0:
        return round(float(stated), 1)
    return None


def _claims(content: Mapping[str, Any]) -> dict[str, str]:
    """What a file says beside weights and sizes, as short texts."""
    others = [name for name in content if isinstance(name, str) and name not in ("weight", "config")]
    claims = {}
    for name in others[:_MOST_CLAIMS]:
        value = content[name]
        try:
            text = value if isinstance(value, str) else json.dumps(value)
        except (TypeError, ValueError):
            continue  # tensors and the like: nothing to tell
        claims[name[:_LONGEST_CLAIM]] = text[:_LONGEST_CLAIM]
    return claims


def _listed(content: Mapping[Any, Any]) -> str:
    names = [str(name)[:40] for name in list(content)[:8]]
    return ", ".join(names) + (" and more" if len(content) > len(names) else "") if names else "nothing"
