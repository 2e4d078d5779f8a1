"""What changes in the course of a training, as a function of its length and of how far it has come.

Spectral distances alone teach most in the first minutes and nothing more afterwards; then the adversary
begins. All of it follows from the number of steps, so that short trainings are whole ones, only coarser.
"""

from __future__ import annotations

from dataclasses import dataclass

_LEARNING_RATE = 1.5e-3
_FINAL_LEARNING_RATE = 0.1
"""Of the initial one, reached on a straight line over all steps."""
_WARM_UP_STEPS = 100
_WARM_UP_SHARE = 0.1

_ADVERSARY_BEGINS = 0.3
"""Share of the epochs that go by before."""
_FEWEST_ADVERSARIAL_STEPS = 300
"""Discriminators that have learnt for fewer steps than this are no help."""
_ADVERSARY_RISE_STEPS = 60


@dataclass(frozen=True)
class Schedule:
    """The course of a training."""

    epochs: int
    steps_per_epoch: int

    @property
    def steps(self) -> int:
        """Steps of the whole training."""
        return self.epochs * self.steps_per_epoch

    @property
    def first_adversarial_step(self) -> int:
        """The beginning of an epoch, so that all steps of one report the same losses; `steps` if there is
        no adversary."""
        first = round(_ADVERSARY_BEGINS * self.epochs) * self.steps_per_epoch
        return first if self.steps - first >= _FEWEST_ADVERSARIAL_STEPS else self.steps

    def learning_rate(self, step: int) -> float:
        """Of the synthesizer in step `step`, counted from 0: a short rise, then straight down to a tenth."""
        warm_up = max(1, min(_WARM_UP_STEPS, round(_WARM_UP_SHARE * self.steps)))
        rise = min(1.0, (step + 1) / warm_up)
        return _LEARNING_RATE * rise * (1 - (1 - _FINAL_LEARNING_RATE) * step / self.steps)

    def adversary_weight(self, step: int) -> float:
        """0 to 1: how much the synthesizer heeds the adversary, which must learn something itself first."""
        return min(1.0, max(0.0, (step - self.first_adversarial_step) / _ADVERSARY_RISE_STEPS))
