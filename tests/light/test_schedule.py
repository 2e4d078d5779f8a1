import itertools

import pytest

from rvc.light.schedule import Schedule


def test_the_learning_rate_rises_shortly_and_ends_at_a_tenth() -> None:
    schedule = Schedule(epochs=100, steps_per_epoch=10)
    rates = [schedule.learning_rate(step) for step in range(1000)]
    assert rates.index(max(rates)) < 110
    assert rates[0] < 0.02 * max(rates)
    assert rates[-1] == pytest.approx(0.1 * 1.5e-3, rel=0.02)
    assert all(earlier > later for earlier, later in itertools.pairwise(rates[110:]))


@pytest.mark.parametrize(("epochs", "steps_per_epoch"), [(27, 37), (200, 9), (12, 75), (1000, 1)])
def test_the_adversary_has_most_of_a_training_and_begins_with_an_epoch(
    epochs: int, steps_per_epoch: int
) -> None:
    schedule = Schedule(epochs, steps_per_epoch)
    first = schedule.first_adversarial_step
    assert first % steps_per_epoch == 0
    assert 0.2 * schedule.steps < first < 0.4 * schedule.steps
    assert schedule.adversary_weight(first) == 0
    assert schedule.adversary_weight(first - 1) == 0
    assert schedule.adversary_weight(schedule.steps - 1) == 1


@pytest.mark.parametrize(("epochs", "steps_per_epoch"), [(1, 37), (5, 37), (10, 4), (1, 1)])
def test_a_training_too_short_for_an_adversary_has_none(epochs: int, steps_per_epoch: int) -> None:
    schedule = Schedule(epochs, steps_per_epoch)
    assert schedule.first_adversarial_step == schedule.steps
