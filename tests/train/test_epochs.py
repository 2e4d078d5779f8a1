from pathlib import Path

import pytest
import torch

from rvc.contract import Architecture, TrainingSettings
from rvc.errors import TrainingFailed
from rvc.parallel import SINGLE
from rvc.training.checkpoints import FolderCheckpoints
from rvc.training.epochs import EpochLosses, Epochs, Interruption
from rvc.training.progress import ProgressReporter


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
