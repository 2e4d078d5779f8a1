"""`Light`: a harmonic-plus-noise synthesizer that learns a voice in minutes on two CPU cores.

    content, F0, voicing, loudness -> network -> two filters per frame --+
                                   pulse train at F0, white noise -------+-> decoder -> sound

Tables of sizes are in `geometry`; the network is all that is learnt.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from rvc.architectures.interface import Conventions, Hyperparameters, Synthesizer, TrainingRun, TrainingSet
from rvc.contract import Architecture as ArchitectureName
from rvc.contract import TrainingSettings
from rvc.errors import InvalidConfiguration
from rvc.light.geometry import SAMPLE_RATES_HERTZ
from rvc.light.synthesizer import LightSynthesizer
from rvc.light.training import LightTraining
from rvc.parallel import Parallel


class Light:
    """The architecture `Light`."""

    name = ArchitectureName.LIGHT
    sample_rates_hertz = SAMPLE_RATES_HERTZ
    conventions = Conventions(standardizes_content=True, levels_speech=True, gates_f0=True)

    def start_training(
        self,
        dataset: TrainingSet,
        settings: TrainingSettings,
        base_models: Path | None,
        device: torch.device,
        parallel: Parallel,
    ) -> TrainingRun:
        """A run at its first step, of untrained networks. Precision FP16 and several accelerators are
        refused: two minutes of one are enough."""
        if parallel.ranks > 1:
            raise InvalidConfiguration("architecture Light trains on one accelerator; set its count to 1")
        return LightTraining(dataset, settings, device)

    def load(
        self,
        tensors: Mapping[str, torch.Tensor],
        sample_rate_hertz: int,
        hyperparameters: Hyperparameters,
        device: torch.device,
    ) -> Synthesizer:
        """The synthesizer of exported tensors."""
        return LightSynthesizer(tensors, sample_rate_hertz, device)
