"""`Light`: a harmonic-plus-noise synthesizer that learns a voice in minutes on two CPU cores.

    content, F0, voicing, loudness -> network -> two filters per frame --+
                                   pulse train at F0, white noise -------+-> decoder -> sound

Tables of sizes are in `geometry`; the network is all that is learnt.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from rvc.architectures.interface import Synthesizer, TrainingRun, TrainingSet
from rvc.contract import Architecture as ArchitectureName
from rvc.contract import TrainingSettings
from rvc.light.geometry import SAMPLE_RATES_HERTZ
from rvc.light.synthesizer import LightSynthesizer
from rvc.light.training import LightTraining


class Light:
    """The architecture `Light`."""

    name = ArchitectureName.LIGHT
    sample_rates_hertz = SAMPLE_RATES_HERTZ
    standardizes_content = True

    def start_training(
        self,
        dataset: TrainingSet,
        settings: TrainingSettings,
        base_models: Path | None,
        device: torch.device,
    ) -> TrainingRun:
        """A run at its first step, of untrained networks; precision FP16 is refused."""
        return LightTraining(dataset, settings, device)

    def load(
        self, tensors: Mapping[str, torch.Tensor], sample_rate_hertz: int, device: torch.device
    ) -> Synthesizer:
        """The synthesizer of exported tensors."""
        return LightSynthesizer(tensors, sample_rate_hertz, device)
