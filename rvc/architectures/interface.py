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
from rvc.parallel import Parallel

FRAMES_PER_SECOND = 100
FRAMES_PER_ROW = 2
ROWS_PER_SECOND = FRAMES_PER_SECOND // FRAMES_PER_ROW

Floats = NDArray[np.float32]
Losses = dict[str, torch.Tensor]
"""Named scalars of one step, detached, on the training device."""
Hyperparameters = Mapping[str, Any]
"""Sizes of a network that its tensors do not tell, as plain JSON values; kept in the voice's manifest."""
VALIDATION = "validation"
"""Among the figures of `TrainingRun.validate`: the one to judge by, lower is better."""


@dataclass(frozen=True)
class Conventions:
    """How the features of an architecture are made, in training and conversion alike."""

    standardizes_content: bool
    """Content is brought to mean 0 and variance 1 per speaker before retrieval and synthesis."""
    levels_speech: bool
    """Recordings are brought to one loudness before analysis; else they are only kept within full scale."""
    gates_f0: bool
    """F0 counts only where it is loud enough for speech."""

    @property
    def rms_mix_rate_percent(self) -> int:
        """How much of the voice's own loudness a conversion keeps, unless told.

        A network that is given levelled loudness follows the source's in its speaker's manner, and the
        source's on top of it spoils both likeness and sound; the other's is mixed as in the original.
        """
        return 100 if self.levels_speech else 25


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
    clip_speakers: NDArray[np.int64]
    """[clips]: speaker of each clip, counted from 0."""
    speakers: int
    """How many there are; a held-out set may lack some."""
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
    """[frames], 0 to 1: phase of the excitation at each frame, by `Synthesizer.excitation_phase`."""
    loudness: Floats
    """[frames], as in `TrainingSet`, by the statistics of the source."""
    speaker_id: int
    seed: int
    """Of the noise; what is drawn for a frame depends on the seed and on the frame's number alone."""
    formant_ratio: float = 1.0
    """Formants of the sound over those that the voice would have."""


class Synthesizer(Protocol):
    """A voice ready to speak. Stateless: equal windows give equal sound."""

    @property
    def sample_rate_hertz(self) -> int:
        """Rate of the sound that it makes."""

    @property
    def context_frames(self) -> int:
        """Frames that a window needs beyond both ends of a tile (unless the file ends there) for the tile to
        come out as if the whole file had been one window, or nearly so."""

    @property
    def tile_frames(self) -> int:
        """Frames of a tile that suit the network."""

    @property
    def overlap_frames(self) -> int:
        """Frames in which neighbouring tiles are faded into each other; 0 where they join exactly."""

    @property
    def padding_frames(self) -> int:
        """Frames of mirrored recording that the network wants to hear before and after a file."""

    @property
    def content_dimension(self) -> int:
        """Width of the content that it was trained on."""

    @property
    def speakers(self) -> int:
        """How many it can speak as."""

    def expand_content(self, rows: Floats) -> Floats:
        """[rows, dimension] at 50 Hz to [2 rows, dimension] at 100 Hz, the way the network was trained."""

    def excitation_phase(self, f0_hertz: Floats, voiced: NDArray[np.bool_]) -> NDArray[np.float64]:
        """[frames] cycles, for a whole file: where the excitation is at the first sample of each frame, so
        that windows go on where others end. `f0_hertz` is interpolated where unvoiced."""

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

    @property
    def hyperparameters(self) -> Hyperparameters:
        """Of the network, for `Architecture.load`."""

    def step(self) -> Losses:
        """One optimiser step on one batch."""

    def validate(self, held_out: TrainingSet) -> dict[str, float]:
        """Figures of the voice as learnt so far on clips that are not trained on; `VALIDATION` among them.
        Deterministic, and without influence on later steps."""

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
    def conventions(self) -> Conventions:
        """How its features are made."""

    def start_training(
        self,
        dataset: TrainingSet,
        settings: TrainingSettings,
        base_models: Path | None,
        device: torch.device,
        parallel: Parallel,
    ) -> TrainingRun:
        """A run at its first step; `base_models` is the folder of pretrained networks, None for those of the
        image. With several processes each computes its part of every batch and all hold the same state.

        Raises InvalidConfiguration for settings that it cannot honour and base models that are missing.
        """

    def load(
        self,
        tensors: Mapping[str, torch.Tensor],
        sample_rate_hertz: int,
        hyperparameters: Hyperparameters,
        device: torch.device,
    ) -> Synthesizer:
        """The synthesizer of exported tensors. Raises ArtifactCorrupt where names or shapes do not fit."""
