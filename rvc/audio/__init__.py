"""Recordings in and out: any format, rate and number of channels to mono float32, and blocks back to files.

Lengths are exact throughout: `output_frames` is the one rule by which a length at one rate becomes a length
at another, and resampled audio is brought to it.
"""

from rvc.audio.read import AudioReader, open_audio
from rvc.audio.resample import load_audio, output_frames
from rvc.audio.spool import ANALYSIS_RATE_HERTZ, SpooledAudio
from rvc.audio.write import AudioWriter, encodable_rate_hertz

__all__ = [
    "ANALYSIS_RATE_HERTZ",
    "AudioReader",
    "AudioWriter",
    "SpooledAudio",
    "encodable_rate_hertz",
    "load_audio",
    "open_audio",
    "output_frames",
]
