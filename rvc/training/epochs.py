"""The epochs of a training, which may be spread over several attempts and over several processes."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from rvc.architectures import Hyperparameters, TrainingRun, TrainingSet
from rvc.contract import TrainingSettings
from rvc.errors import Terminated, TrainingFailed
from rvc.parallel import Parallel
from rvc.training.checkpoints import Checkpoint, CheckpointStore, read_checkpoint, write_checkpoint
from rvc.training.course import Course, Epoch
from rvc.training.journal import Journal
from rvc.training.progress import ProgressReporter
from rvc.training.sample import Listening, to_pcm

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


@dataclass(frozen=True)
class Judgement:
    """What a training is judged by at each checkpoint."""

    held_out: TrainingSet | None
    """None where there are too few recordings to spare any."""
    listening: Listening
    journal: Journal

    def figures(self, run: TrainingRun) -> dict[str, float]:
        """On the held-out recordings; none without them."""
        return {} if self.held_out is None else run.validate(self.held_out)

    def sample(
        self, voice: Mapping[str, torch.Tensor], hyperparameters: Hyperparameters, device: torch.device
    ) -> torch.Tensor:
        """The voice speaking, int16 [samples]."""
        # A network that is about to be loaded is first filled at random, which is not training's business.
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            return to_pcm(self.listening.speak(voice, hyperparameters, device))


class Epochs:
    """The loop over the epochs, and all that a checkpoint holds."""

    def __init__(
        self,
        run: TrainingRun,
        settings: TrainingSettings,
        interruption: Interruption,
        judgement: Judgement | None,
        device: torch.device,
        parallel: Parallel,
    ) -> None:
        """`judgement` is for the leading process alone, which saves and tells."""
        self._run, self._settings, self._interruption = run, settings, interruption
        self._judgement, self._device, self._parallel = judgement, device, parallel
        self._losses = EpochLosses()
        self._course = Course(settings.early_stopping_epochs)

    def all(self, progress: ProgressReporter) -> Course:
        """Run all epochs that are left; returns what there is to say of them.

        Raises Terminated, after saving, when it is told to stop, ArtifactCorrupt for a checkpoint to go on
        from that is damaged or another training's, and TrainingFailed, without saving, when losses are no
        numbers.
        """
        exhausted = self._resume()
        steps = self._settings.epochs * self._run.steps_per_epoch
        progress.start_training(self._run.steps_done, steps)
        while self._run.steps_done < steps and not exhausted:
            if self._agreed(self._interruption.stop()):
                self._save()
                raise Terminated(
                    f"stopped after {self._run.steps_done} of {steps} steps; the next attempt goes on from "
                    "there"
                )
            self._losses.add(self._run.step())
            epoch, rest = divmod(self._run.steps_done, self._run.steps_per_epoch)
            if rest == 0:
                self._end_epoch(epoch)
                exhausted = self._agreed(self._course.exhausted)
            progress.training(self._run.steps_done, epoch, self._course.figures)
        if exhausted:
            log.info("stopped early: no epoch since the best one sounded better on the held-out recordings")
        return self._course

    def _agreed(self, flag: bool) -> bool:
        return self._parallel.agreed(flag, self._device)

    def _resume(self) -> bool:
        """Go on from the last checkpoint if there is one; whether nothing is left to learn."""
        checkpoints = self._interruption.checkpoints
        # One process fetches, all read the same file.
        newest = checkpoints.latest() if self._parallel.leads else None
        latest = self._parallel.told(newest, self._device)
        if latest is not None:
            found = read_checkpoint(
                latest, self._interruption.identity, self._device, checkpoints.starting_over
            )
            self._run.load_state_dict(found.run)
            self._losses.load_state_dict(found.losses)
            self._course.load_state_dict(found.course)
            log.info("training goes on after epoch %d, step %d", found.epochs_done, self._run.steps_done)
        self._parallel.wait()
        if self._judgement is not None:
            self._judgement.journal.resume(self._course)
        return self._agreed(self._course.exhausted)

    def _end_epoch(self, number: int) -> None:
        losses = self._losses.end_epoch(number)
        saves = number % self._settings.save_every_epochs == 0 or number == self._settings.epochs
        if self._judgement is not None:
            self._tell(Epoch(number, losses, {}), self._judgement, saves)
        if saves:
            self._save()

    def _tell(self, epoch: Epoch, judgement: Judgement, saves: bool) -> None:
        voice = self._run.export() if saves else None
        if saves:
            epoch = replace(epoch, validation=judgement.figures(self._run))
            _require_finite(epoch.validation, epoch.number)
        self._course.add(epoch, voice)
        judgement.journal.epoch(epoch)
        log.info("epoch %d of %d: %s", epoch.number, self._settings.epochs, epoch.losses | epoch.validation)
        if voice is not None:
            self._course.add_sample(judgement.sample(voice, self._run.hyperparameters, self._device))
            judgement.journal.checkpoint(self._course)

    def _save(self) -> None:
        epochs_done = self._run.steps_done // self._run.steps_per_epoch
        self._losses.require_finite(epochs_done + 1)
        if self._parallel.leads:
            path = self._interruption.scratch / "training.checkpoint"
            checkpoint = Checkpoint(
                self._interruption.identity,
                epochs_done,
                self._run.state_dict(),
                self._losses.state_dict(),
                self._course.state_dict(),
            )
            write_checkpoint(checkpoint, path)
            self._interruption.checkpoints.save(path, epochs_done)
            path.unlink()
        # Were another process to end now, whoever started them might end this one, too.
        self._parallel.wait()


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
        _require_finite({name: float(total) for name, total in self._sums.items()}, epoch)

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"sums": self._sums, "steps": self._steps, "last": self.last}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self._sums, self._steps, self.last = dict(state["sums"]), state["steps"], dict(state["last"])


def _require_finite(figures: Mapping[str, float], epoch: int) -> None:
    if not all(map(math.isfinite, figures.values())):
        raise TrainingFailed(
            f"training diverged in epoch {epoch} (sums of losses {dict(figures)}); try precision FP32 or a "
            "larger batchSize",
            reason="TrainingDiverged",
        )
