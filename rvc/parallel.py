"""Several processes, one accelerator each, that train one voice as if they were one.

Started by the trainer, or by hand by `torchrun`: both tell each process its rank by the same variables. They
meet at the address that `torchrun` gives, or by a file where the trainer started them: a port that was free a
moment ago may be another training's when it is opened. All of them draw the same batch, compute their part of
it and add up their gradients, so a batch is the whole batch whatever the number of accelerators.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import torch
from torch import distributed

_LONGEST_PATH = 4096
_PATIENCE = timedelta(days=2)
"""How long processes wait for each other: while the leading one prepares a dataset, the others do nothing. A
process that dies is not waited for; whoever started them ends the others."""


@dataclass(frozen=True)
class Parallel:
    """This process among those that train together."""

    rank: int = 0
    ranks: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes files and reports."""
        return self.rank == 0

    def parts(self, size: int, count: int) -> list[slice]:
        """Items of a batch of `size` that are this process's, in up to `count` parts of about one length;
        none where there are more processes than items."""
        first, last = size * self.rank // self.ranks, size * (self.rank + 1) // self.ranks
        bounds = [first + (last - first) * i // count for i in range(count + 1)]
        return [slice(start, end) for start, end in pairwise(bounds) if start < end]

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

    def told(self, path: Path | None, device: torch.device) -> Path | None:
        """The path that the leading process gives; what the others give does not matter."""
        if self.ranks == 1:
            return path
        # As bytes, because distributed objects are pickles.
        said = torch.zeros(_LONGEST_PATH, dtype=torch.uint8)
        if path is not None:
            text = str(path).encode()
            said[: len(text)] = torch.tensor(list(text), dtype=torch.uint8)
        said = said.to(device)
        distributed.broadcast(said, 0)
        heard = bytes(said.tolist()).rstrip(b"\0").decode()
        return Path(heard) if heard else None

    def wait(self) -> None:
        """Return when all processes are here."""
        if self.ranks > 1:
            distributed.barrier()


SINGLE = Parallel()


@contextmanager
def joined(device: torch.device, rendezvous: Path | None = None) -> Iterator[Parallel]:
    """The group that this process was started in; `SINGLE` where it was started alone.

    `rendezvous` names the same file for all processes, which is not there yet and in whose folder nobody else
    writes; None for the address that the environment names.
    """
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    if ranks == 1:
        yield SINGLE
        return
    rank = int(os.environ["RANK"])
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        init_method="env://" if rendezvous is None else rendezvous.absolute().as_uri(),
        rank=rank,
        world_size=ranks,
        timeout=_PATIENCE,
    )
    try:
        yield Parallel(rank, ranks)
    finally:
        distributed.destroy_process_group()
