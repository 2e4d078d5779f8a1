import pytest
import torch

from rvc.epochs import EpochLosses
from rvc.errors import RvcError


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
    with pytest.raises(RvcError, match="diverged in epoch 7"):
        losses.end_epoch(7)
