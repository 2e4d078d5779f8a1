from pathlib import Path

import numpy as np
import pytest
import torch

from rvc.base_models import BaseModel, BaseModelName
from rvc.base_models.fetch import fetch_base_models
from rvc.parity.fill import fill
from rvc.pitch.rmvpe_network import RMVPENetwork, Sizes
from tests.fixtures.base_models import base_models

__all__ = ["base_models"]


@pytest.fixture(scope="session")
def crepe_models(base_models) -> Path:
    """The folder of base models with both CREPE networks."""
    fetch_base_models(base_models, print, [BaseModelName.CREPE, BaseModelName.CREPE_TINY])
    return base_models


@pytest.fixture(scope="session")
def rmvpe_weights() -> BaseModel:
    """A small RMVPE network that has learnt nothing."""
    sizes = Sizes(channels=2, levels=5, intermediate_levels=1, blocks=1)
    shapes = {name: tuple(tensor.shape) for name, tensor in RMVPENetwork(sizes).state_dict().items()}
    return BaseModel("sha256:" + "0" * 64, {name: fill(name, shape, 1) for name, shape in shapes.items()})


@pytest.fixture(scope="session")
def cpu() -> torch.device:
    return torch.device("cpu")


def cents(found: np.ndarray, expected: np.ndarray | float) -> np.ndarray:
    """Distance of every frame."""
    return np.abs(1200 * np.log2(np.maximum(found, 1.0) / expected))
