"""What people choose from: the words of the API, which the core itself speaks, too."""

from __future__ import annotations

from enum import StrEnum


class Architecture(StrEnum):
    """Synthesizers."""

    RVC2 = "RVC2"
    LIGHT = "Light"


class ContentEncoder(StrEnum):
    """Networks that say what is spoken, not by whom; `Auto` is what the architecture is made for."""

    AUTO = "Auto"
    CONTENT_VEC_768 = "ContentVec768"
    CONTENT_VEC_256 = "ContentVec256"
    SMALL = "Small"
    WHISPER_BASE = "WhisperBase"


class PitchMethod(StrEnum):
    """Ways to find F0; `Auto` is RMVPE where the base models have it, else FCPE."""

    AUTO = "Auto"
    RMVPE = "RMVPE"
    FCPE = "FCPE"
    CREPE = "CREPE"
    CREPE_TINY = "CREPETiny"
    PRAAT = "Praat"
    HARVEST = "Harvest"


class Precision(StrEnum):
    """Number format of the training arithmetic; `Auto` is bf16 where the hardware has it, else fp32."""

    AUTO = "Auto"
    BF16 = "BF16"
    FP16 = "FP16"
    FP32 = "FP32"


class AudioFormat(StrEnum):
    """Formats of converted files."""

    WAV = "WAV"
    FLAC = "FLAC"
    MP3 = "MP3"
    OGG = "OGG"


class AudibleLabel(StrEnum):
    """Where a converted file says audibly that it is synthetic."""

    NONE = "None"
    START = "Start"
    START_AND_END = "StartAndEnd"


class Device(StrEnum):
    """Where a trainer or server computes; `CUDA` is also how PPU cards present themselves."""

    CPU = "CPU"
    CUDA = "CUDA"
