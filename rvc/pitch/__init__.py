"""Fundamental frequency, 100 frames a second; unvoiced frames are 0 Hz.

Extractors say what they hear and gate nothing by loudness: reverberation and breath far below the speech
may come out voiced, and who minds (training does) silences frames by their energy.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from rvc.base_models import BaseModelName, open_base_model
from rvc.contract import PitchMethod
from rvc.errors import InvalidConfiguration
from rvc.pitch.fcpe import FCPE

FRAMES_PER_SECOND = 100


class PitchExtractor(Protocol):
    """From mono audio at 16 kHz (float32 [samples], any length) to F0 in hertz, float32 [samples // 160].

    Frame i describes the sound around sample 160 i; 0 = unvoiced, otherwise 50 to 1100 Hz.
    """

    @property
    def name(self) -> PitchMethod:
        """Which method this is, never `Auto`."""

    def __call__(self, audio: np.ndarray) -> np.ndarray:
        """F0 of the whole recording; long ones are taken in overlapping windows."""


def load_pitch(method: PitchMethod, base_models: Path | None, device: torch.device) -> PitchExtractor:
    """The extractor for a method with weights from the base-model folder (None: the default folder).

    Raises `InvalidConfiguration` for a method that this release does not have, or without its weights.
    """
    if method in (PitchMethod.AUTO, PitchMethod.FCPE):
        return FCPE(open_base_model(BaseModelName.FCPE, base_models), device)
    raise InvalidConfiguration(
        f"pitchMethod {method} is not in this release; use {PitchMethod.FCPE} or {PitchMethod.AUTO}",
        reason="PitchMethodUnavailable",
    )
