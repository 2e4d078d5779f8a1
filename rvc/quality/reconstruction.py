"""Whether a voice that was just trained speaks, and how near to its recordings: it says a part of them
again."""

from __future__ import annotations

import numpy as np

from rvc.audio import ANALYSIS_RATE_HERTZ
from rvc.audio.resample import resample_blocks
from rvc.errors import TrainingFailed
from rvc.pitch import PitchExtractor
from rvc.quality.pitch import pitch_agreement
from rvc.quality.speaker import SpeakerEncoder
from rvc.quality.spectrum import mel_distance_decibels
from rvc.signal import Floats, frame_levels, gate_f0

_SILENT_PEAK = 1e-4


def reconstruction_figures(
    spoken: Floats,
    recorded: Floats,
    sample_rate_hertz: int,
    pitch: PitchExtractor,
    speaker: SpeakerEncoder | None,
) -> dict[str, float]:
    """Named figures of recordings and of the voice speaking from their features, equally long.

    `reconstructionDecibels` (mean distance of mel spectra), `f0Correlation` and `grossPitchErrorShare` where
    enough is voiced, `similarityToRecordings` where there is a speaker encoder.

    Raises TrainingFailed if the voice gives what is not sound.
    """
    if not np.isfinite(spoken).all() or np.abs(spoken).max() < _SILENT_PEAK:
        raise TrainingFailed(
            "the trained voice gives no sound; train again, with precision FP32", reason="VoiceIsSilent"
        )
    figures = {"reconstructionDecibels": mel_distance_decibels(spoken, recorded, sample_rate_hertz)}
    ours, theirs = (at_analysis_rate(audio, sample_rate_hertz) for audio in (spoken, recorded))
    if agreement := pitch_agreement(speech_f0(theirs, pitch), speech_f0(ours, pitch)):
        figures["f0Correlation"] = agreement.correlation
        figures["grossPitchErrorShare"] = agreement.gross_error
    if speaker is not None:
        figures["similarityToRecordings"] = float(speaker(ours) @ speaker(theirs))
    return {name: round(figure, 3) for name, figure in figures.items()}


def at_analysis_rate(audio: Floats, sample_rate_hertz: int) -> Floats:
    """Sound as the measuring networks hear it."""
    return np.concatenate(list(resample_blocks([audio], sample_rate_hertz, ANALYSIS_RATE_HERTZ)))


def speech_f0(audio: Floats, pitch: PitchExtractor) -> Floats:
    """F0 of sound at 16 kHz, 0 where it is unvoiced or too quiet for speech."""
    f0 = pitch(audio)
    return gate_f0(f0, frame_levels(audio, 0, len(f0))) if len(f0) else f0
