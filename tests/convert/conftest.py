"""A voice that hums: Light with the weights that training begins at, and its noise turned down."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save

from rvc.content import load_content_encoder
from rvc.contract import Architecture, ContentEncoder, PitchMethod, TrainingSettings
from rvc.convert import Converter
from rvc.light.geometry import Geometry
from rvc.light.network import Network
from rvc.retrieval import build_index
from rvc.signal import Moments
from rvc.tiles import MEDIAN_F0, voice_tensors
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
from tests.fixtures.base_models import base_models

__all__ = ["base_models"]

CPU = torch.device("cpu")
RATE_HERTZ = 32000


@pytest.fixture(scope="session")
def voice(tmp_path_factory: pytest.TempPathFactory, base_models: Path) -> Voice:
    folder = tmp_path_factory.mktemp("voice")
    encoder = load_content_encoder(ContentEncoder.AUTO, base_models, CPU)
    random = np.random.default_rng(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Network(encoder.dimension, geometry := Geometry(RATE_HERTZ))
    with torch.no_grad():
        network.leave.bias[: geometry.bands] = torch.linspace(0, -5, geometry.bands)
        network.leave.bias[geometry.bands :] = -6
    content = Moments(1000, np.zeros(encoder.dimension, np.float32), np.ones(encoder.dimension, np.float32))
    level = Moments(1000, np.float32([-20]), np.float32([8]))
    weights = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    (folder / TENSORS_NAME).write_bytes(save(voice_tensors(weights, content, level)))
    (folder / INDEX_NAME).write_bytes(build_index(random.normal(size=(500, encoder.dimension)), seed=0))
    manifest = VoiceManifest(
        name="test",
        revision="0",
        architecture=Architecture.LIGHT,
        sample_rate_hertz=RATE_HERTZ,
        content_encoder=EncoderReference(
            name=encoder.name, digest=encoder.digest, dimension=encoder.dimension
        ),
        pitch_method=PitchMethod.FCPE,
        parameters=TrainingSettings(architecture=Architecture.LIGHT, sample_rate_hertz=RATE_HERTZ),
        dataset=DatasetSummary(digest="sha256:" + "0" * 64, seconds=20.0, clips=2),
        statistics={MEDIAN_F0: 200.0},
    )
    write_manifest(folder, manifest)
    return open_voice(folder)


@pytest.fixture(scope="session")
def converter(voice: Voice, base_models: Path) -> Converter:
    return Converter(voice, base_models, CPU)
