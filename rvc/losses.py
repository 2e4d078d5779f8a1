"""Mean losses of an epoch, kept where the losses are so that no step waits for the device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch


class EpochLosses:
    """Adds up the losses of steps; part of a checkpoint, since an epoch may be continued by another
    attempt."""

    def __init__(self) -> None:
        self._sums: dict[str, torch.Tensor] = {}
        self._steps = 0
        self.last: dict[str, float] = {}
        """Means of the last complete epoch, empty before."""

    def add(self, losses: Mapping[str, torch.Tensor]) -> None:
        """Take in one step."""
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, 0) + value.double()
        self._steps += 1

    def end_epoch(self) -> dict[str, float]:
        """The means since the last call."""
        self.last = {name: float(total) / self._steps for name, total in self._sums.items()}
        self._sums, self._steps = {}, 0
        return self.last

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"sums": self._sums, "steps": self._steps, "last": self.last}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self._sums, self._steps, self.last = dict(state["sums"]), state["steps"], dict(state["last"])
