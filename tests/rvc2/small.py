"""Seeded generators small enough to compute in milliseconds, and something for them to learn."""

from dataclasses import replace

import msgspec
import numpy as np
import torch

from rvc.architectures import TrainingSet
from rvc.contract import Precision, TrainingSettings
from rvc.parallel import SINGLE, Parallel
from rvc.rvc2.geometry import Geometry, Version
from rvc.rvc2.network import Features, Network
from rvc.rvc2.training import RVC2Training, Sizes
from tests.light.timeline import tiny_training_set


def small_geometry(version: Version = "v2", rate: int = 32000, f0: bool = True) -> Geometry:
    return replace(
        Geometry.official(version, rate, f0),
        inter_channels=16,
        hidden_channels=16,
        filter_channels=32,
        layers=2,
        upsample_initial_channel=32,
        speaker_channels=8,
        speakers=3,
    )


def small_network(geometry: Geometry, posterior: bool = False) -> Network:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Network(geometry, posterior)
        for coupling in network.flow.flows.values():
            # Couplings start as the identity, and nothing could go wrong in them.
            torch.nn.init.normal_(coupling.post.weight, std=0.1)
    return network.requires_grad_(False).eval()


def random_features(geometry: Geometry, lengths: list[int], seed: int = 0) -> Features:
    generator = torch.Generator().manual_seed(seed)
    frames, items = max(lengths), len(lengths)
    f0 = 100 + 300 * torch.rand(items, frames, generator=generator)
    f0[:, 3:9] = 0
    return Features(
        content=torch.randn(items, frames, geometry.content_dimension, generator=generator),
        lengths=torch.tensor(lengths),
        speaker=torch.arange(items) % geometry.speakers,
        pitch=torch.randint(1, 256, (items, frames), generator=generator) if geometry.f0 else None,
        f0_hertz=f0 if geometry.f0 else None,
    )


def small_training_set(seconds: int = 6) -> TrainingSet:
    """Sung vowels at 32 kHz, with content as wide as ContentVec's."""
    sung = tiny_training_set(32000, seconds)
    return replace(sung, content=np.tile(sung.content, 96))


def small_training(
    dataset: TrainingSet | None = None, parallel: Parallel = SINGLE, **changes: object
) -> RVC2Training:
    """A run that takes a fraction of a second for a step."""
    settings = TrainingSettings(sample_rate_hertz=32000, batch_size=2, precision=Precision.FP32)
    settings = msgspec.structs.replace(settings, **changes)
    sizes = Sizes(small_geometry(), segment_frames=12, discriminator_width=64)
    return RVC2Training(dataset or small_training_set(), settings, sizes, torch.device("cpu"), parallel)


def losses_of(run: RVC2Training, steps: int) -> list[dict[str, float]]:
    return [{name: float(value) for name, value in run.step().items()} for _ in range(steps)]
