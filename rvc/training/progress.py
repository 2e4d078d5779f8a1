"""How far a training attempt is: stages with their shares of the whole, the epoch, an estimate of what
remains."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rvc.contract import Metric, Progress, Stage

_BEGINS_AT_PERCENT = {
    Stage.PREPARING: 0,
    Stage.EXTRACTING_FEATURES: 1,
    Stage.TRAINING: 20,
    Stage.INDEXING: 95,
    Stage.EVALUATING: 97,
    Stage.PUBLISHING: 98,
}
"""Roughly as the minutes are shared out."""


class ProgressReporter:
    """Makes `Progress` of what `train_voice` does."""

    def __init__(
        self, on_progress: Callable[[Progress], None], total_epochs: int, clock: Callable[[], float]
    ) -> None:
        self._on_progress = on_progress
        self._total_epochs = total_epochs
        self._clock = clock
        self._first_step = 0
        self._steps = 1
        self._started = 0.0
        self._metrics: tuple[Metric, ...] = ()
        self._epoch = 0

    def stage(self, stage: Stage) -> None:
        """A stage begins."""
        self._report(stage, 0.0, None)

    def share(self, stage: Stage, done: int, total: int) -> None:
        """Part of a stage is done."""
        self._report(stage, done / total, None)

    def start_training(self, steps_done: int, steps: int) -> None:
        """Training begins, or goes on, with `steps_done` of `steps`."""
        self._first_step, self._steps, self._started = steps_done, steps, self._clock()
        self._report(Stage.TRAINING, steps_done / steps, None)

    def training(self, steps_done: int, epochs_done: int, losses: Mapping[str, float]) -> None:
        """A step is done; `losses` are those of the last complete epoch."""
        self._epoch = epochs_done
        self._metrics = tuple(Metric(name, f"{value:.4f}") for name, value in losses.items())
        per_step = (self._clock() - self._started) / (steps_done - self._first_step)
        self._report(Stage.TRAINING, steps_done / self._steps, round(per_step * (self._steps - steps_done)))

    def _report(self, stage: Stage, share: float, remaining_seconds: int | None) -> None:
        begins = _BEGINS_AT_PERCENT[stage]
        ends = min([percent for percent in _BEGINS_AT_PERCENT.values() if percent > begins], default=100)
        self._on_progress(
            Progress(
                stage=stage,
                progress_percentage=int(begins + share * (ends - begins)),
                epoch=self._epoch,
                total_epochs=self._total_epochs,
                estimated_remaining_seconds=remaining_seconds,
                metrics=self._metrics,
            )
        )
