"""Names and shapes of a network's weights, and loading that accepts nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import nn

from rvc.errors import ArtifactCorrupt
from rvc.rvc2.geometry import Geometry
from rvc.rvc2.network import Network

Shapes = dict[str, tuple[int, ...]]
_NAMES_SHOWN = 8


def state_shapes(geometry: Geometry, posterior: bool = False) -> Shapes:
    """Shape of every weight of a generator, in the order of the community's files; computes nothing.

    Args:
        geometry: sizes of the generator.
        posterior: with the weights that only training needs.
    """
    with torch.device("meta"):
        return shapes_of(Network(geometry, posterior).state_dict())


def shapes_of(tensors: Mapping[str, torch.Tensor]) -> Shapes:
    """Shape of every tensor by name."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def check_state(
    expected: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]], what: str
) -> None:
    """Raise ArtifactCorrupt, naming what is missing, unexpected and of another shape, unless both agree."""
    misshapen = [
        f"{name} {list(found[name])} instead of {list(shape)}"
        for name, shape in sorted(expected.items())
        if name in found and found[name] != shape
    ]
    problems = [
        _listed("missing", sorted(set(expected) - set(found))),
        _listed("unexpected", sorted(set(found) - set(expected))),
        _listed("of another shape", misshapen),
    ]
    if any(problems):
        raise ArtifactCorrupt(f"the weights of {what} do not fit: {'; '.join(filter(None, problems))}")


def load_state(network: nn.Module, tensors: Mapping[str, torch.Tensor], what: str = "this RVC voice") -> None:
    """Copy weights into a network, whatever their precision.

    Raises ArtifactCorrupt that lists every missing, unexpected and misshapen weight.
    """
    check_state(shapes_of(network.state_dict()), shapes_of(tensors), what)
    network.load_state_dict(tensors)


def _listed(problem: str, names: Iterable[str]) -> str:
    names = list(names)
    if not names:
        return ""
    shown = ", ".join(names[:_NAMES_SHOWN])
    rest = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return f"{len(names)} {problem} ({shown}{rest})"
