"""The last stage of a training: the finished voice converts recordings that it was not trained on.

By the same way as every conversion afterwards, from the voice's files, so that what is published is known to
speak. The figures are those of `rvc evaluate`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from rvc.audio import AudioWriter
from rvc.content import ContentEncoder
from rvc.contract import AudioFormat, ConversionParameters, PitchMethod
from rvc.convert import Converter
from rvc.errors import TrainingFailed
from rvc.quality.evaluate import Figures, Instruments, Sample, evaluate
from rvc.signal import Floats
from rvc.training.sample import Listening
from rvc.voice import Voice

_SILENT_PEAK = 1e-4


def is_audible(sound: Floats) -> bool:
    """Whether it is neither silence nor no numbers."""
    return bool(np.isfinite(sound).all() and np.abs(sound).max(initial=0) >= _SILENT_PEAK)


def require_sound(spoken: Floats) -> None:
    """Raise TrainingFailed for a voice that says nothing audible."""
    if not is_audible(spoken):
        raise TrainingFailed(
            "the trained voice gives no sound; train again, with precision FP32", reason="VoiceIsSilent"
        )


def last_test(
    voice: Voice,
    listening: Listening,
    base_models: Path | None,
    encoder: ContentEncoder,
    device: torch.device,
    scratch: Path,
) -> Figures:
    """Named means over the clips of `listening`, of which those of the first speaker count.

    What nothing can be measured with is left out. `encoder` is the voice's, and `scratch` a folder for
    the clips.
    """
    recordings = list(listening.recordings())
    speaker, clips = recordings[0][0], []
    for number, (by, sound) in enumerate(recordings):
        # Where nothing could be held out there is silence among what was trained on.
        if by == speaker and is_audible(sound):
            clips.append(scratch / f"{number:03d}.wav")
            with AudioWriter(clips[-1], listening.sample_rate_hertz, AudioFormat.WAV) as writer:
                writer.write(sound)
    if not clips:
        return {}
    converter = Converter(voice, base_models, device, encoder)
    instruments = Instruments.available(converter.pitch_extractor(PitchMethod.AUTO), base_models)
    parameters = ConversionParameters(speaker_id=speaker)
    return evaluate(converter, [Sample(path) for path in clips], clips, parameters, instruments).means
