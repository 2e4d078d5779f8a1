"""`RVC2`: the community's voice-conversion network, compatible with every published voice.

    content, F0 bins -> prior encoder -> flow -> neural source-filter decoder -> sound
                        (training: a posterior encoder of the recording's spectrogram instead)

A VITS whose decoder is a HiFi-GAN, driven by a sine at F0 where the voice is pitch-guided. Sizes are in
`geometry`. All names of weights are those of the community's files, so state dicts are its lingua franca.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from rvc.architectures.interface import Conventions, Hyperparameters, Synthesizer, TrainingRun, TrainingSet
from rvc.contract import Architecture as ArchitectureName
from rvc.contract import TrainingSettings
from rvc.parallel import Parallel
from rvc.rvc2.geometry import OFFICIAL_RATES_HERTZ
from rvc.rvc2.synthesizer import RVC2Synthesizer
from rvc.rvc2.training import RVC2Training, Sizes


class RVC2:
    """The architecture `RVC2`."""

    name = ArchitectureName.RVC2
    sample_rates_hertz = OFFICIAL_RATES_HERTZ
    conventions = Conventions(standardizes_content=False, levels_speech=False, gates_f0=False)

    def start_training(
        self,
        dataset: TrainingSet,
        settings: TrainingSettings,
        base_models: Path | None,
        device: torch.device,
        parallel: Parallel,
    ) -> TrainingRun:
        """A run at its first step, of the official sizes; from the base models where the folder has them,
        else from scratch, with a warning."""
        sizes = Sizes.official(dataset).with_speakers_of(base_models)
        run = RVC2Training(dataset, settings, sizes, device, parallel)
        run.start_from(base_models)
        return run

    def load(
        self,
        tensors: Mapping[str, torch.Tensor],
        sample_rate_hertz: int,
        hyperparameters: Hyperparameters,
        device: torch.device,
    ) -> Synthesizer:
        """The synthesizer of exported tensors, or of a community voice's."""
        return RVC2Synthesizer(tensors, sample_rate_hertz, hyperparameters, device)
