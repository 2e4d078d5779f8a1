"""Weights and inputs that fixtures do not store, since a rule says them: hashes of names, made into numbers.

The rule (see the fixtures' own description): FNV-1a of the key starts a SplitMix64 sequence, whose numbers
are read as u in [0, 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod, sqrt

import numpy as np
import torch
from numpy.typing import NDArray

Shape = tuple[int, ...]
_GENERATED_AT_ONCE = 1 << 20


def uniform(key: str, count: int, seed: int = 0) -> NDArray[np.float64]:
    """The first `count` numbers of a key, in [0, 1)."""
    state = 0xCBF29CE484222325
    for byte in key.encode():
        state = (state ^ byte) * 0x100000001B3 % 2**64
    numbers = np.empty(count, np.float64)
    # Blocks that stay in the processor's cache are several times faster.
    for start in range(0, count, _GENERATED_AT_ONCE):
        stop = min(start + _GENERATED_AT_ONCE, count)
        z = np.arange(start + 1, stop + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z += np.uint64((state + seed) % 2**64)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        numbers[start:stop] = ((z ^ (z >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53
    return numbers


def symmetric(key: str, shape: Shape, seed: int = 0) -> NDArray[np.float64]:
    """Numbers in [-1, 1)."""
    return 2 * uniform(key, prod(shape), seed).reshape(shape) - 1


def normal(key: str, shape: Shape, seed: int = 0) -> torch.Tensor:
    """Nearly normal numbers (sums of 12), float32."""
    sums = uniform(key, 12 * prod(shape), seed).reshape(-1, 12).sum(1) - 6
    return torch.from_numpy(sums.reshape(shape).astype(np.float32))


def fill(name: str, shape: Shape, seed: int = 0) -> torch.Tensor:
    """The weight of a name, float32."""
    leaf = name.rpartition(".")[2]
    if leaf == "num_batches_tracked":
        return torch.zeros(shape, dtype=torch.int64)
    values = symmetric(name, shape, seed)
    if leaf in ("weight_g", "gamma", "running_var") or (leaf == "weight" and len(shape) == 1):
        values = 1 + 0.25 * values
    elif leaf in ("bias", "beta", "running_mean") or leaf.startswith("bias_"):
        values = 0.05 * values
    elif leaf in ("emb_rel_k", "emb_rel_v"):
        values = 0.2 * values
    elif name in ("emb_g.weight", "enc_p.emb_pitch.weight"):
        pass
    elif leaf.startswith("weight") and len(shape) >= 2:
        values = values * sqrt(3 / prod(shape[1:]))
    return torch.from_numpy(values.astype(np.float32))


def fill_synthesizer(shapes: Mapping[str, Shape], post_gain: float, seed: int = 0) -> dict[str, torch.Tensor]:
    """All weights of a generator; three of them not by the general rule."""
    tensors = {name: fill(name, shape, seed) for name, shape in shapes.items()}
    if "dec.m_source.l_linear.weight" in tensors:
        tensors["dec.m_source.l_linear.weight"].fill_(1.5)
    tensors["enc_p.proj.weight"] *= 0.5
    tensors["dec.conv_post.weight"] *= post_gain
    return tensors
