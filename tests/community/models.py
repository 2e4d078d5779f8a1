"""Voices of the community, small ones, as their programs write them."""

from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import torch

from rvc.community.inference_model import InferenceModel, inference_model
from rvc.rvc2.geometry import Geometry, Version
from rvc.rvc2.state import state_shapes
from tests.fixtures import parity


def small_geometry(
    version: Version = "v2", rate: int = 40000, f0: bool = True, speakers: int = 3
) -> Geometry:
    return replace(
        Geometry.official(version, rate, f0),
        inter_channels=8,
        hidden_channels=8,
        filter_channels=16,
        layers=2,
        upsample_initial_channel=32,
        speaker_channels=4,
        speakers=speakers,
    )


def small_weights(geometry: Geometry, posterior: bool = False, seed: int = 0) -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    shapes = state_shapes(geometry, posterior)
    return {name: torch.randn(shape, generator=random) for name, shape in shapes.items()}


def official_content(geometry: Geometry | None = None, **changes: Any) -> OrderedDict[str, Any]:
    geometry = geometry or small_geometry()
    return OrderedDict(
        weight={name: tensor.half() for name, tensor in small_weights(geometry).items()},
        config=geometry.to_config(),
        info="20epoch",
        sr=f"{geometry.sample_rate_hertz // 1000}k",
        f0=int(geometry.f0),
        version=geometry.version,
    ) | OrderedDict(changes)


def write_pth(path: Path, content: Any = None) -> Path:
    torch.save(official_content() if content is None else content, path)
    return path


def write_index(path: Path, dimension: int = 768, rows: int = 100, cells: int = 4, probes: int = 1) -> Path:
    values = np.random.default_rng(0).normal(size=(rows, dimension)).astype(np.float32)
    index = faiss.index_factory(dimension, f"IVF{cells},Flat")
    index.cp.min_points_per_centroid = 1
    index.train(values)
    index.add(values)
    index.nprobe = probes
    faiss.write_index(index, str(path))
    return path


def model_of(content: Any) -> InferenceModel:
    return inference_model(content, 1 << 30, "ann.pth")


def parity_models() -> list[Path]:
    return sorted((parity.FOLDER.parent / "models").glob("small_*.pth"))
