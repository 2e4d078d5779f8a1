"""A voice of `RVC2` and the networks that it hears with: official sizes, random weights, real files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save

from rvc.base_models import BaseModelName, open_base_model
from rvc.base_models.filling import filling, put
from rvc.content.hubert import HubertSizes
from rvc.contract import Architecture, ContentEncoder, PitchMethod, TrainingSettings
from rvc.pitch.rmvpe_network import RMVPENetwork, Sizes
from rvc.retrieval import build_index
from rvc.rvc2.geometry import Geometry
from rvc.rvc2.network import Network
from rvc.tiles import voice_tensors
from rvc.voice import (
    INDEX_NAME,
    TENSORS_NAME,
    DatasetSummary,
    EncoderReference,
    Voice,
    VoiceManifest,
    open_voice,
    write_manifest,
)
from tests.content.hubert import random_tensors

RATE_HERTZ = 40000
CONTENT_VEC = HubertSizes(
    channels=512,
    kernels=(10, 3, 3, 3, 3, 2, 2),
    width=768,
    position_kernel=128,
    position_groups=16,
    feed_forward_width=3072,
    layers=12,
    heads=12,
    projection=256,
)
_INDEX_ROWS = 30_000
"""Ten minutes of content."""


def write_base_models(folder: Path) -> None:
    """ContentVec and RMVPE."""
    torch.manual_seed(0)
    networks = {
        BaseModelName.CONTENT_VEC: random_tensors(CONTENT_VEC),
        BaseModelName.RMVPE: RMVPENetwork(Sizes()).state_dict(),
    }
    with filling(folder):
        for name, tensors in networks.items():
            put(folder, name, tensors, "random weights of a benchmark")


def write_voice(folder: Path, base_models: Path) -> Voice:
    """The voice, with an index as ten minutes of recordings give."""
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    geometry = Geometry.official("v2", RATE_HERTZ, f0=True)
    weights = {name: tensor.half() for name, tensor in Network(geometry).state_dict().items()}
    (folder / TENSORS_NAME).write_bytes(save(voice_tensors(weights, None, None)))
    rows = np.random.default_rng(0).normal(size=(_INDEX_ROWS, geometry.content_dimension))
    (folder / INDEX_NAME).write_bytes(build_index(rows, seed=0))
    write_manifest(
        folder,
        VoiceManifest(
            name="bench",
            revision="0",
            architecture=Architecture.RVC2,
            sample_rate_hertz=RATE_HERTZ,
            content_encoder=EncoderReference(
                name=ContentEncoder.CONTENT_VEC_768,
                digest=open_base_model(BaseModelName.CONTENT_VEC, base_models).digest,
                dimension=geometry.content_dimension,
            ),
            pitch_method=PitchMethod.RMVPE,
            hyperparameters=geometry.to_dict(),
            parameters=TrainingSettings(
                architecture=Architecture.RVC2, sample_rate_hertz=RATE_HERTZ, content_encoder="ContentVec768"
            ),
            dataset=DatasetSummary(digest="sha256:" + "0" * 64, seconds=600.0, clips=60),
            statistics={},
        ),
    )
    return open_voice(folder)
