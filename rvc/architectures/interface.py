"""What training and conversion know of a synthesizer, and all they know.

An architecture learns from a `TrainingSet`, one step at a time so that its owner can stop, save and resume it
between any two steps, and turns a `Window` of features into sound. Everything that has to do with files,
tiles, retrieval, checkpoints and reports stays outside, so that a new architecture changes nothing there.

Two clocks run through all of this: features come in *rows* at 50 Hz and *frames* at 100 Hz. Frame `t` is
centred on the instant `t / 100` seconds; row `r` on frame `2 r`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from rvc.contract import Architecture as ArchitectureName
from rvc.contract import TrainingSettings

FRAMES_PER_SECOND = 100
FRAMES_PER_ROW = 2
ROWS_PER_SECOND = FRAMES_PER_SECOND // FRAMES_PER_ROW

Floats = NDArray[np.float32]
Losses = dict[str, torch.Tensor]
"""Named scalars of one step, detached, on the training device."""


@dataclass(frozen=True)
class TrainingSet:
    """A voice's recordings and their features, joined end to end in one timeline; the arrays may be memory
    mapped."""

    sample_rate_hertz: int
    content: NDArray[Any]
    """[rows, dimension] float16 or float32; standardized if the architecture asks for it."""
    f0_hertz: Floats
    """[frames], 0 where unvoiced; frames = 2 rows."""
    loudness: Floats
    """[frames], level in dB less its mean, over its standard deviation."""
    audio: Floats
    """[frames * sample_rate_hertz / 100]."""
    clip_rows: NDArray[np.int64]
    """[clips + 1]: clip `i` is rows `clip_rows[i]:clip_rows[i + 1]`; speech is continuous only inside a
    clip."""
    digest: str
    """Of the recordings and of how they were prepared."""

    @property
    def seconds(self) -> float:
        """Length of the timeline."""
        return len(self.content) / ROWS_PER_SECOND

    @property
    def median_f0_hertz(self) -> float:
        """Of the voiced frames; 0 if there are none."""
        voiced = self.f0_hertz[self.f0_hertz > 0]
        return round(float(np.median(voiced)), 1) if len(voiced) else 0.0


@dataclass(frozen=True)
class Window:
    """Features of the frames `first_frame ...` of a file. All that depends on the whole file is worked out
    already."""

    first_frame: int
    content: Floats
    """[frames, dimension], at the frame rate by `Synthesizer.expand_content`."""
    f0_hertz: Floats
    """[frames], never 0: interpolated where unvoiced."""
    voiced: NDArray[np.bool_]
    """[frames]."""
    phase_cycles: NDArray[np.float64]
    """[frames], 0 to 1: phase of the fundamental at each frame, continuous over the file."""
    loudness: Floats
    """[frames], as in `TrainingSet`, by the statistics of the source."""
    speaker_id: int
    seed: int


class Synthesizer(Protocol):
    """A voice ready to speak. Stateless: equal windows give equal sound, and tiles join without a seam."""

    @property
    def sample_rate_hertz(self) -> int:
        """Rate of the sound that it makes."""

    @property
    def context_frames(self) -> int:
        """Frames that a window needs beyond both ends of a tile (unless the file ends there) for the tile to
        come out as if the whole file had been one window."""

    def expand_content(self, rows: Floats) -> Floats:
        """[rows, dimension] at 50 Hz to [2 rows, dimension] at 100 Hz, the way the network was trained."""

    def synthesize(self, window: Window) -> Floats:
        """[frames * sample_rate_hertz / 100] samples; frame `t` of the window begins at sample `t * rate /
        100`."""


class TrainingRun(Protocol):
    """Training under way. Deterministic on the CPU: the same state goes on to the same result."""

    @property
    def steps_per_epoch(self) -> int:
        """An epoch is one pass over the seconds of the training set."""

    @property
    def steps_done(self) -> int:
        """Optimiser steps so far, part of the state."""

    def step(self) -> Losses:
        """One optimiser step on one batch."""

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on: weights, averages, optimisers, generators of random
        numbers. Tensors and plain values only, so that `torch.load(weights_only=True)` reads it."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`; wrong keys or shapes are an error."""

    def export(self) -> dict[str, torch.Tensor]:
        """The tensors of the voice as learnt so far, for `Architecture.load`."""


class Architecture(Protocol):
    """A kind of synthesizer."""

    @property
    def name(self) -> ArchitectureName:
        """Its name in the API."""

    @property
    def sample_rates_hertz(self) -> tuple[int, ...]:
        """Output rates that it can be trained for."""

    @property
    def standardizes_content(self) -> bool:
        """Whether content is standardized per speaker (mean 0, variance 1) before retrieval and synthesis."""

    def start_training(
        self,
        dataset: TrainingSet,
        settings: TrainingSettings,
        base_models: Path | None,
        device: torch.device,
    ) -> TrainingRun:
        """A run at its first step; `base_models` is the folder of pretrained networks, None for those of the
        image.

        Raises InvalidConfiguration for settings that it cannot honour and base models that are missing.
        """

    def load(
        self, tensors: Mapping[str, torch.Tensor], sample_rate_hertz: int, device: torch.device
    ) -> Synthesizer:
        """The synthesizer of exported tensors. Raises ArtifactCorrupt where names or shapes do not fit."""
