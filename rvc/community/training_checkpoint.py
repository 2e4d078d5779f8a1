"""The voice in what training leaves behind (`G_*.pth`), or in a pretrained network that it starts from.

Such a file has all weights of the generator, the posterior encoder's among them, and no word on its sizes.
They follow from the shapes of the weights; the sample rate, which shapes alone do not spell out, is the one
official rate whose network has exactly these weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from rvc.community.inference_model import InferenceModel, require_plausible
from rvc.community.weights import POSTERIOR_PREFIX, as_half, plain_weights
from rvc.errors import ArtifactCorrupt
from rvc.rvc2.geometry import OFFICIAL_RATES_HERTZ, Geometry, Version
from rvc.rvc2.state import check_state, shapes_of, state_shapes

MOST_BYTES = 4 << 30
"""Three times the largest generator with the state of its optimiser, in single precision."""
_DISCRIMINATORS = "discriminators."
_VERSIONS: Mapping[int, Version] = {256: "v1", 768: "v2"}
_ENCODER = "enc_p.encoder."
_LAYER = f"{_ENCODER}attn_layers."


def is_training_checkpoint(content: Mapping[str, Any]) -> bool:
    """Whether a loaded file is one of training, rather than a voice."""
    return "model" in content and "weight" not in content


def extract_voice(content: Mapping[str, Any], stored_bytes: int, shown: str) -> InferenceModel:
    """The voice in a generator's checkpoint of `stored_bytes`, without what only training needs.

    Raises ArtifactCorrupt for a discriminator and for weights that are no whole generator's.
    """
    weights = plain_weights(content["model"], stored_bytes, shown)
    if any(name.startswith(_DISCRIMINATORS) for name in weights):
        raise ArtifactCorrupt(
            f"{shown} holds discriminators, which only training needs; the voice is in the file whose name "
            "begins with G"
        )
    geometry = _geometry(weights, shown)
    posterior = any(name.startswith(POSTERIOR_PREFIX) for name in weights)
    check_state(state_shapes(geometry, posterior), shapes_of(weights), shown)
    kept = {name: weights[name] for name in state_shapes(geometry)}
    return InferenceModel(geometry, as_half(kept, shown), info=_info(content))


def _geometry(weights: Mapping[str, torch.Tensor], shown: str) -> Geometry:
    """The sizes of the official kind of voice that these weights fit, or nearly fit."""
    try:
        sized = _sized_like(weights)
    except (KeyError, ValueError, IndexError, ZeroDivisionError) as error:
        raise ArtifactCorrupt(
            f"{shown} is no checkpoint of an RVC generator ({error} is not among its weights, or of another "
            "shape)"
        ) from error
    posterior = any(name.startswith(POSTERIOR_PREFIX) for name in weights)
    found = shapes_of(weights).items()
    for geometry in sized:
        require_plausible(geometry, shown)
    return min(sized, key=lambda geometry: len(state_shapes(geometry, posterior).items() ^ found))


def _sized_like(weights: Mapping[str, torch.Tensor]) -> list[Geometry]:
    """The official kinds of voice (one per rate) with the widths of these weights."""
    hidden, content_dimension = weights["enc_p.emb_phone.weight"].shape
    speakers, speaker_channels = weights["emb_g.weight"].shape
    widths: dict[str, Any] = {
        "inter_channels": weights["enc_p.proj.weight"].shape[0] // 2,
        "hidden_channels": hidden,
        "filter_channels": weights[f"{_ENCODER}ffn_layers.0.conv_1.weight"].shape[0],
        "heads": hidden // weights[f"{_LAYER}0.emb_rel_k"].shape[2],
        "layers": len({name.split(".")[3] for name in weights if name.startswith(_LAYER)}),
        "upsample_initial_channel": weights["dec.conv_pre.weight"].shape[0],
        "speakers": speakers,
        "speaker_channels": speaker_channels,
    }
    version, f0 = _VERSIONS[content_dimension], "enc_p.emb_pitch.weight" in weights
    return [replace(Geometry.official(version, rate, f0), **widths) for rate in OFFICIAL_RATES_HERTZ]


def _info(content: Mapping[str, Any]) -> str:
    """As the original names a voice taken out of training."""
    epochs = content.get("iteration")
    return f"{epochs}epoch" if type(epochs) is int else ""
