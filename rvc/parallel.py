"""Several processes, one accelerator each, that train one voice as if they were one.

Started by `torchrun`, which tells each process its rank. All of them draw the same batch, compute their part
of it and add up their gradients, so a batch is the whole batch whatever the number of accelerators.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import distributed


@dataclass(frozen=True)
class Parallel:
    """This process among those that train together."""

    rank: int = 0
    ranks: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes files and reports."""
        return self.rank == 0

    def part(self, size: int) -> slice:
        """Items of a batch of `size` that are this process's; empty where there are more processes."""
        return slice(size * self.rank // self.ranks, size * (self.rank + 1) // self.ranks)

    def sum(self, tensors: Iterable[torch.Tensor]) -> None:
        """Replace each tensor by its sum over all processes."""
        if self.ranks > 1:
            for tensor in tensors:
                distributed.all_reduce(tensor)

    def agreed(self, flag: bool, device: torch.device) -> bool:
        """What the leading process says."""
        if self.ranks == 1:
            return flag
        said = torch.tensor([flag], dtype=torch.int32, device=device)
        distributed.broadcast(said, 0)
        return bool(said.item())

    def wait(self) -> None:
        """Return when all processes are here."""
        if self.ranks > 1:
            distributed.barrier()


SINGLE = Parallel()


@contextmanager
def joined(device: torch.device) -> Iterator[Parallel]:
    """The group that `torchrun` started this process in; `SINGLE` where it did not."""
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    if ranks == 1:
        yield SINGLE
        return
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Parallel(distributed.get_rank(), ranks)
    finally:
        distributed.destroy_process_group()
