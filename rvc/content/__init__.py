"""Content features: what is spoken or sung, not by whom; 50 frames a second.

Every encoder obeys one protocol, takes recordings of any length and gives the same rows however it is asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from rvc.base_models import BaseModelName, open_base_model
from rvc.content.whisper import WhisperEncoder
from rvc.contract import ContentEncoder as ContentEncoderName
from rvc.errors import InvalidConfiguration

FRAMES_PER_SECOND = 50


class ContentEncoder(Protocol):
    """From mono audio at 16 kHz, float32 [samples], to features, float32 [ceil(samples / 320), dimension].

    Frame j describes the sound around sample 320 j.
    """

    @property
    def name(self) -> ContentEncoderName:
        """Which encoder this is."""

    @property
    def dimension(self) -> int:
        """Width of a row."""

    @property
    def digest(self) -> str:
        """`sha256:` of the weights; a voice names its encoder by it."""

    def __call__(self, audio: np.ndarray) -> np.ndarray:
        """Rows of the whole recording."""

    def encode_range(self, audio: np.ndarray, first_frame: int, last_frame: int) -> np.ndarray:
        """Rows [first_frame, last_frame) of what the whole recording gives."""

    def encode_blocks(self, audio: np.ndarray) -> Iterator[np.ndarray]:
        """Rows of the whole recording in consecutive blocks, in bounded memory: for long recordings."""


def load_content_encoder(
    name: ContentEncoderName, base_models: Path | None, device: torch.device
) -> ContentEncoder:
    """The encoder of that name with weights from the base-model folder (None: the default folder).

    Raises `InvalidConfiguration` for an encoder that this release does not have, or without its weights.
    """
    if name in (ContentEncoderName.AUTO, ContentEncoderName.WHISPER_BASE):
        return WhisperEncoder(open_base_model(BaseModelName.WHISPER_BASE, base_models), device)
    raise InvalidConfiguration(
        f"contentEncoder {name} is not in this release; use {ContentEncoderName.WHISPER_BASE} or "
        f"{ContentEncoderName.AUTO}",
        reason="ContentEncoderUnavailable",
    )
