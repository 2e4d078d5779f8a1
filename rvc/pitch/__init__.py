"""Fundamental frequency, 100 frames a second; unvoiced frames are 0 Hz.

Extractors say what they hear and gate nothing by loudness: reverberation and breath far below the speech
may come out voiced, and who minds (training does) silences frames by their energy.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from rvc.base_models import BaseModelName, has_base_model, open_base_model
from rvc.contract import PitchMethod
from rvc.pitch.crepe import CREPE
from rvc.pitch.fcpe import FCPE
from rvc.pitch.harvest import Harvest
from rvc.pitch.praat import Praat
from rvc.pitch.rmvpe import RMVPE

FRAMES_PER_SECOND = 100


class PitchExtractor(Protocol):
    """From mono audio at 16 kHz (float32 [samples], any length) to F0 in hertz, float32 [samples // 160].

    Frame i describes the sound around sample 160 i; 0 = unvoiced. The same audio gives the same F0
    every time, and the memory taken does not grow with its length.
    """

    @property
    def name(self) -> PitchMethod:
        """Which method this is, never `Auto`."""

    @property
    def digest(self) -> str:
        """What it computes with: `sha256:` of the weights, or package and version."""

    def __call__(self, audio: np.ndarray) -> np.ndarray:
        """F0 of the whole recording; long ones are taken in overlapping windows."""


def load_pitch(method: PitchMethod, base_models: Path | None, device: torch.device) -> PitchExtractor:
    """The extractor for a method, with weights from the base-model folder (None: the default folder).

    `Auto` is RMVPE where the folder has it, else FCPE. Raises `InvalidConfiguration` for a method whose
    weights or package are not there, `ArtifactCorrupt` for weights that are not the network's.
    """
    match method:
        case PitchMethod.AUTO:
            best = has_base_model(BaseModelName.RMVPE, base_models)
            return load_pitch(PitchMethod.RMVPE if best else PitchMethod.FCPE, base_models, device)
        case PitchMethod.RMVPE:
            return RMVPE(open_base_model(BaseModelName.RMVPE, base_models), device)
        case PitchMethod.FCPE:
            return FCPE(open_base_model(BaseModelName.FCPE, base_models), device)
        case PitchMethod.CREPE:
            return CREPE(method, open_base_model(BaseModelName.CREPE, base_models), device)
        case PitchMethod.CREPE_TINY:
            return CREPE(method, open_base_model(BaseModelName.CREPE_TINY, base_models), device)
        case PitchMethod.PRAAT:
            return Praat()
        case PitchMethod.HARVEST:
            return Harvest()
