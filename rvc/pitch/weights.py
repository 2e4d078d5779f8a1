"""Weights into networks, strictly: every name and shape must be the network's."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from rvc.errors import ArtifactCorrupt

_NAMES_SHOWN = 5


def load_strictly(network: nn.Module, tensors: Mapping[str, torch.Tensor], title: str) -> None:
    """Copy the tensors into the network, whatever their precision.

    Raises `ArtifactCorrupt`, naming what is missing, unknown or of another shape.
    """
    wanted = network.state_dict()
    problems = {
        "missing": sorted(wanted.keys() - tensors.keys()),
        "not known": sorted(tensors.keys() - wanted.keys()),
        "of another shape": sorted(
            name for name in wanted.keys() & tensors.keys() if wanted[name].shape != tensors[name].shape
        ),
    }
    found = "; ".join(f"{problem}: {_shortened(names)}" for problem, names in problems.items() if names)
    if found:
        raise ArtifactCorrupt(
            f"these are not weights of {title} ({found}); run `rvc fetch-base` again or bring the "
            "official file"
        )
    network.load_state_dict(dict(tensors))


def _shortened(names: list[str]) -> str:
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(names[:_NAMES_SHOWN]) + more
