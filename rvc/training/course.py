"""What there is to say of a training so far: losses of each epoch, the best one, what it sounded like.

Part of a checkpoint, so that an attempt that goes on tells the same story, and stops where the other would
have.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch

from rvc.architectures import VALIDATION

_SAMPLES_KEPT = 2


@dataclass(frozen=True)
class Epoch:
    """One epoch."""

    number: int
    """Counted from 1."""
    losses: dict[str, float]
    """Means over its steps."""
    validation: dict[str, float]
    """Figures on held-out recordings; empty where it was not judged."""


class Course:
    """The epochs of a training in order."""

    def __init__(self, early_stopping_epochs: int) -> None:
        self._patience = early_stopping_epochs
        self.epochs: list[Epoch] = []
        self.samples: dict[int, torch.Tensor] = {}
        """By epoch: the voice speaking, int16 [samples]; of the newest epochs and of the best."""
        self._best_voice: dict[str, torch.Tensor] = {}

    @property
    def best(self) -> Epoch | None:
        """Of the judged epochs the best, the first of equals; None where none was judged."""
        judged = [epoch for epoch in self.epochs if epoch.validation]
        return min(judged, key=lambda epoch: epoch.validation[VALIDATION], default=None)

    @property
    def published(self) -> Epoch | None:
        """The epoch whose voice would be published now: the best with early stopping, else the last."""
        if self._patience and self.best is not None:
            return self.best
        return self.epochs[-1] if self.epochs else None

    @property
    def exhausted(self) -> bool:
        """Whether it is time to stop early."""
        if not self._patience or self.best is None:
            return False
        return self.epochs[-1].number - self.best.number >= self._patience

    @property
    def figures(self) -> dict[str, float]:
        """Losses of the last epoch and the last judgement."""
        if not self.epochs:
            return {}
        judged = [epoch.validation for epoch in self.epochs if epoch.validation]
        return self.epochs[-1].losses | ({VALIDATION: judged[-1][VALIDATION]} if judged else {})

    def metrics(self) -> dict[str, float]:
        """Figures of the published epoch, for the voice's manifest."""
        if self.published is None:
            return {}
        judged = {VALIDATION: self.published.validation[VALIDATION]} if self.published.validation else {}
        best = {"bestEpoch": float(self.best.number)} if self.best else {}
        return self.published.losses | judged | best

    def add(self, epoch: Epoch, voice: Mapping[str, torch.Tensor] | None = None) -> None:
        """An epoch is over; `voice` is what was learnt in it, where it was judged."""
        self.epochs.append(epoch)
        if self._patience and voice is not None and self.best is epoch:
            self._best_voice = {name: tensor.clone() for name, tensor in voice.items()}

    def add_sample(self, pcm: torch.Tensor) -> None:
        """The voice of the last epoch speaks; samples that are neither new nor best go."""
        self.samples[self.epochs[-1].number] = pcm
        kept = set(sorted(self.samples)[-_SAMPLES_KEPT:])
        if self.best is not None:
            kept.add(self.best.number)
        self.samples = {number: sample for number, sample in self.samples.items() if number in kept}

    def voice(self, latest: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Tensors of the published epoch, `latest` being those of the last."""
        return self._best_voice or latest

    def lines(self) -> str:
        """One JSON object a line for each epoch."""
        return "".join(f"{json.dumps(_compact(epoch))}\n" for epoch in self.epochs)

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint: plain values and tensors."""
        return {
            "epochs": [asdict(epoch) for epoch in self.epochs],
            "samples": self.samples,
            "best_voice": self._best_voice,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.epochs = [Epoch(**epoch) for epoch in state["epochs"]]
        self.samples = {number: sample.cpu() for number, sample in state["samples"].items()}
        self._best_voice = {name: tensor.cpu() for name, tensor in state["best_voice"].items()}


def _compact(epoch: Epoch) -> dict[str, Any]:
    """Without what was not measured."""
    judged = {"validation": epoch.validation} if epoch.validation else {}
    return {"epoch": epoch.number, "losses": epoch.losses} | judged
