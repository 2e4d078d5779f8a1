"""Content features: what is spoken or sung, not by whom; 50 frames a second.

Every encoder obeys one protocol, takes recordings of any length and gives the same rows however it is asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from rvc.base_models import (
    BASE_MODEL_MISSING,
    BaseModelName,
    default_folder,
    has_base_model,
    open_base_model,
)
from rvc.content.contentvec import ContentVecEncoder
from rvc.content.small import SmallEncoder
from rvc.content.whisper import WhisperEncoder
from rvc.contract import Architecture
from rvc.contract import ContentEncoder as ContentEncoderName
from rvc.errors import InvalidConfiguration

FRAMES_PER_SECOND = 50

_OF_RVC2 = (ContentEncoderName.CONTENT_VEC_768, ContentEncoderName.CONTENT_VEC_256)


class ContentEncoder(Protocol):
    """From mono audio at 16 kHz, float32 [samples], to features, float32 [ceil(samples / 320), dimension].

    Frame j describes the sound around sample 320 j; ContentVec's lies 12.5 ms later, see there.
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


def resolve_content_encoder(
    name: ContentEncoderName, architecture: Architecture, base_models: Path | None
) -> ContentEncoderName:
    """The encoder that a training is to use: `Auto` is what the architecture's voices are made for.

    Voices of RVC2 are to open in the community's programs, which know ContentVec alone. Raises
    `InvalidConfiguration` for another encoder of RVC2, and where the folder does not have ContentVec.
    """
    if architecture != Architecture.RVC2:
        return ContentEncoderName.SMALL if name == ContentEncoderName.AUTO else name
    if name not in (ContentEncoderName.AUTO, *_OF_RVC2):
        raise InvalidConfiguration(
            f"contentEncoder {name} is not for architecture {Architecture.RVC2}; use {' or '.join(_OF_RVC2)}",
            reason="ContentEncoderUnavailable",
        )
    if not has_base_model(BaseModelName.CONTENT_VEC, base_models):
        raise InvalidConfiguration(
            f"{Architecture.RVC2} voices hear with ContentVec, which {base_models or default_folder()} does "
            "not have; run `rvc fetch-base --only contentvec` where it can be downloaded, add the file that "
            f"you have with `rvc add-base`, or train architecture {Architecture.LIGHT}",
            reason=BASE_MODEL_MISSING,
        )
    return ContentEncoderName.CONTENT_VEC_768 if name == ContentEncoderName.AUTO else name


def load_content_encoder(
    name: ContentEncoderName, base_models: Path | None, device: torch.device
) -> ContentEncoder:
    """The encoder of that name with weights from the base-model folder (None: the default folder).

    `Auto` is the one that needs no folder. Raises `InvalidConfiguration` for an encoder without its weights.
    """
    if name in (ContentEncoderName.AUTO, ContentEncoderName.SMALL):
        return SmallEncoder(device)
    if name == ContentEncoderName.WHISPER_BASE:
        return WhisperEncoder(open_base_model(BaseModelName.WHISPER_BASE, base_models), device)
    return ContentVecEncoder(name, open_base_model(BaseModelName.CONTENT_VEC, base_models), device)
