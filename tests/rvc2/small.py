"""Seeded generators small enough to compute in milliseconds."""

from dataclasses import replace

import torch

from rvc.rvc2.geometry import Geometry, Version
from rvc.rvc2.network import Features, Network


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
