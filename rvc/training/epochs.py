"""The epochs of a training, which may be spread over several attempts."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from rvc.architectures import TrainingRun
from rvc.contract import TrainingSettings
from rvc.errors import Terminated, TrainingFailed
from rvc.training.checkpoints import Checkpoint, CheckpointStore, read_checkpoint, write_checkpoint
from rvc.training.progress import ProgressReporter

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Interruption:
    """How a training is stopped and continued."""

    identity: str
    """Digest of all that decides what is learnt; a checkpoint of another one is refused."""
    checkpoints: CheckpointStore
    scratch: Path
    """Folder for a checkpoint that is being written."""
    stop: Callable[[], bool]
    """Asked between steps."""


def run_epochs(
    run: TrainingRun,
    settings: TrainingSettings,
    interruption: Interruption,
    device: torch.device,
    progress: ProgressReporter,
) -> Mapping[str, float]:
    """Run all epochs that are left; returns the mean losses of the last one.

    Raises Terminated, after saving, when it is told to stop, ArtifactCorrupt for a checkpoint to go on from
    that is damaged or another training's, and TrainingFailed, without saving, when losses are no numbers.
    """
    losses = EpochLosses()
    if (latest := interruption.checkpoints.latest()) is not None:
        found = read_checkpoint(latest, interruption.identity, device, interruption.checkpoints.starting_over)
        run.load_state_dict(found.run)
        losses.load_state_dict(found.losses)
        log.info("training goes on after epoch %d, step %d", found.epochs_done, run.steps_done)
    steps = settings.epochs * run.steps_per_epoch
    progress.start_training(run.steps_done, steps)
    while run.steps_done < steps:
        if interruption.stop():
            _save(run, losses, interruption)
            raise Terminated(
                f"stopped after {run.steps_done} of {steps} steps; the next attempt goes on from there"
            )
        losses.add(run.step())
        epoch, rest = divmod(run.steps_done, run.steps_per_epoch)
        if rest == 0:
            log.info("epoch %d of %d: %s", epoch, settings.epochs, losses.end_epoch(epoch))
            if epoch % settings.save_every_epochs == 0 or epoch == settings.epochs:
                _save(run, losses, interruption)
        progress.training(run.steps_done, epoch, losses.last)
    return losses.last


def _save(run: TrainingRun, losses: EpochLosses, interruption: Interruption) -> None:
    epochs_done = run.steps_done // run.steps_per_epoch
    losses.require_finite(epochs_done + 1)
    path = interruption.scratch / "training.checkpoint"
    write_checkpoint(
        Checkpoint(interruption.identity, epochs_done, run.state_dict(), losses.state_dict()), path
    )
    interruption.checkpoints.save(path, epochs_done)
    path.unlink()


class EpochLosses:
    """Adds up the losses of steps, on their device, so that no step waits for it.

    Part of a checkpoint, since an epoch may be continued by another attempt.
    """

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

    def end_epoch(self, epoch: int) -> dict[str, float]:
        """The means since the last call. Raises TrainingFailed as `require_finite` does."""
        self.require_finite(epoch)
        self.last = {name: float(total) / self._steps for name, total in self._sums.items()}
        self._sums, self._steps = {}, 0
        return self.last

    def require_finite(self, epoch: int) -> None:
        """Raise TrainingFailed if a loss was no number: the weights are lost then."""
        sums = {name: float(total) for name, total in self._sums.items()}
        if not all(map(math.isfinite, sums.values())):
            raise TrainingFailed(
                f"training diverged in epoch {epoch} (sums of losses {sums}); try precision FP32 or a larger "
                "batchSize",
                reason="TrainingDiverged",
            )

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"sums": self._sums, "steps": self._steps, "last": self.last}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self._sums, self._steps, self.last = dict(state["sums"]), state["steps"], dict(state["last"])
