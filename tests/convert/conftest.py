"""A voice that says everything alike, but says it: Light, trained for a moment on a few seconds."""

from pathlib import Path

import pytest
import torch

from rvc.contract import Architecture, TrainingSettings
from rvc.convert import Converter
from rvc.train import train_voice
from rvc.training.checkpoints import FolderCheckpoints
from rvc.voice import Voice, open_voice
from tests.fixtures.base_models import base_models
from tests.train.recordings import write_recordings

__all__ = ["base_models"]

CPU = torch.device("cpu")


@pytest.fixture(scope="session")
def voice(tmp_path_factory: pytest.TempPathFactory, base_models: Path) -> Voice:
    folder = tmp_path_factory.mktemp("voice")
    train_voice(
        write_recordings(folder / "dataset"),
        folder / "voice",
        folder / "work",
        TrainingSettings(architecture=Architecture.LIGHT, sample_rate_hertz=32000, epochs=1, batch_size=3),
        name="test",
        revision="0",
        base_models=base_models,
        device=CPU,
        on_progress=lambda progress: None,
        checkpoints=FolderCheckpoints(folder / "checkpoints"),
        stop=lambda: False,
    )
    return open_voice(folder / "voice")


@pytest.fixture(scope="session")
def converter(voice: Voice, base_models: Path) -> Converter:
    return Converter(voice, base_models, CPU)
