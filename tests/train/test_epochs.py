from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import torch

from rvc.architectures import VALIDATION, TrainingSet, Window
from rvc.contract import Architecture, TrainingSettings
from rvc.errors import Terminated, TrainingFailed
from rvc.parallel import SINGLE
from rvc.training.checkpoints import FolderCheckpoints
from rvc.training.course import Course
from rvc.training.epochs import EpochLosses, Epochs, Interruption, Judgement
from rvc.training.journal import Journal
from rvc.training.progress import ProgressReporter
from rvc.training.sample import Listening
from tests.light.timeline import tiny_training_set


def test_the_losses_of_an_epoch_are_means_and_survive_a_checkpoint() -> None:
    losses = EpochLosses()
    losses.add({"mel": torch.tensor(1.0), "kl": torch.tensor(4.0)})
    continued = EpochLosses()
    continued.load_state_dict(losses.state_dict())
    continued.add({"mel": torch.tensor(2.0), "kl": torch.tensor(0.0)})
    assert continued.last == {}
    assert continued.end_epoch(1) == continued.last == {"mel": 1.5, "kl": 2.0}


def test_losses_that_are_no_numbers_end_the_training() -> None:
    losses = EpochLosses()
    losses.add({"mel": torch.tensor(float("nan"))})
    with pytest.raises(TrainingFailed, match="diverged in epoch 7"):
        losses.end_epoch(7)


class Diverged:
    """A run whose losses are no numbers."""

    steps_per_epoch = 4
    steps_done = 0

    def step(self) -> dict[str, torch.Tensor]:
        self.steps_done += 1
        return {"mel": torch.tensor(float("nan"))}

    def state_dict(self) -> dict[str, torch.Tensor]:
        return {}


def test_a_training_that_diverged_leaves_no_checkpoint_when_it_is_stopped(tmp_path: Path) -> None:
    run, checkpoints = Diverged(), FolderCheckpoints(tmp_path / "checkpoints")
    settings = TrainingSettings(architecture=Architecture.LIGHT, epochs=2, batch_size=1)
    interruption = Interruption("sha256:aa", checkpoints, tmp_path, lambda: run.steps_done == 2)
    progress = ProgressReporter(lambda progress: None, settings.epochs, lambda: 0.0)
    epochs = Epochs(run, settings, interruption, None, torch.device("cpu"), SINGLE)
    with pytest.raises(TrainingFailed) as raised:
        epochs.all(progress)
    assert raised.value.reason == "TrainingDiverged"
    assert checkpoints.latest() is None


class Judged:
    """A run that learns until its third epoch and gets worse from there."""

    steps_per_epoch = 2
    steps_done = 0
    hyperparameters = MappingProxyType({})

    def step(self) -> dict[str, torch.Tensor]:
        self.steps_done += 1
        return {"mel": torch.tensor(1.0)}

    def validate(self, held_out: TrainingSet) -> dict[str, float]:
        return {VALIDATION: 1.0 + abs(self.steps_done // 2 - 3)}

    def export(self) -> dict[str, torch.Tensor]:
        return {"weight": torch.tensor(float(self.steps_done // 2))}

    def state_dict(self) -> dict[str, int]:
        return {"steps_done": self.steps_done}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.steps_done = state["steps_done"]


class Hum:
    """A voice that says the same whatever it is asked."""

    name = Architecture.LIGHT

    def load(self, *_: object) -> "Hum":
        return self

    def expand_content(self, rows: np.ndarray) -> np.ndarray:
        return rows.repeat(2, axis=0)

    def excitation_phase(self, f0_hertz: np.ndarray, voiced: np.ndarray) -> np.ndarray:
        return np.zeros(len(f0_hertz))

    def synthesize(self, window: Window) -> np.ndarray:
        return np.full(len(window.f0_hertz) * 160, 0.5, np.float32)


def train_judged(folder: Path, stop_at_step: int = -1) -> tuple[Course, Judged]:
    """An attempt of a training that stops when two epochs were no better."""
    run = Judged()
    settings = TrainingSettings(epochs=20, save_every_epochs=1, early_stopping_epochs=2)
    checkpoints = FolderCheckpoints(folder / "checkpoints")
    interruption = Interruption("sha256:aa", checkpoints, folder, lambda: run.steps_done == stop_at_step)
    listening = Listening(Hum(), tiny_training_set())
    with Journal(folder, listening, tensor_board=False) as journal:
        judgement = Judgement(listening.clips, listening, journal)
        epochs = Epochs(run, settings, interruption, judgement, torch.device("cpu"), SINGLE)
        return epochs.all(ProgressReporter(lambda progress: None, settings.epochs, lambda: 0.0)), run


def test_training_stops_early_and_keeps_the_best_epoch(tmp_path: Path) -> None:
    course, run = train_judged(tmp_path)
    assert run.steps_done == 10
    assert float(course.voice(run.export())["weight"]) == 3
    assert {path.name for path in tmp_path.glob("sample-*")} == {
        f"sample-epoch-00000{n}.wav" for n in (3, 4, 5)
    }


def test_an_interrupted_training_stops_early_at_the_same_epoch(tmp_path: Path) -> None:
    for step in (5, 8):
        with pytest.raises(Terminated):
            train_judged(tmp_path, step)
    course, run = train_judged(tmp_path)
    assert (run.steps_done, float(course.voice(run.export())["weight"])) == (10, 3)
    course, run = train_judged(tmp_path)
    assert (run.steps_done, float(course.voice(run.export())["weight"])) == (10, 3), "nothing is left to do"


def test_figures_that_are_no_numbers_end_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Judged, "validate", lambda *_: {VALIDATION: float("nan")})
    with pytest.raises(TrainingFailed, match="diverged in epoch 1"):
        train_judged(tmp_path)
