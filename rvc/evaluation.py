"""Whether a voice that was just trained speaks: it says a part of its own recordings again."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from rvc.architectures import (
    FRAMES_PER_ROW,
    FRAMES_PER_SECOND,
    Architecture,
    Hyperparameters,
    TrainingSet,
    Window,
)
from rvc.audio.mel import slaney_mel_filters
from rvc.errors import TrainingFailed
from rvc.signal import Floats, interpolate_unvoiced
from rvc.tiles import synthesizer_tensors

_SECONDS = 20
_MEL_BANDS = 80
_RANGE_DECIBELS = 60.0
"""Below the loudest band of the recording nothing is compared."""


def reconstruction_distance(
    architecture: Architecture,
    tensors: Mapping[str, torch.Tensor],
    hyperparameters: Hyperparameters,
    dataset: TrainingSet,
    device: torch.device,
) -> float:
    """Mean difference in dB between mel spectrograms of recordings and of the voice speaking from their
    features.

    Raises TrainingFailed if the voice gives what is not sound.
    """
    rate = dataset.sample_rate_hertz
    synthesizer = architecture.load(synthesizer_tensors(tensors), rate, hyperparameters, device)
    rows = min(len(dataset.content), _SECONDS * FRAMES_PER_SECOND // FRAMES_PER_ROW)
    frames = rows * FRAMES_PER_ROW
    f0 = interpolate_unvoiced(dataset.f0_hertz[:frames])
    voiced = dataset.f0_hertz[:frames] > 0
    window = Window(
        first_frame=0,
        content=synthesizer.expand_content(dataset.content[:rows].astype(np.float32)),
        f0_hertz=f0,
        voiced=voiced,
        phase_cycles=synthesizer.excitation_phase(f0, voiced),
        loudness=dataset.loudness[:frames],
        speaker_id=0,
        seed=0,
    )
    spoken = synthesizer.synthesize(window)
    recorded = dataset.audio[: len(spoken)]
    if not np.isfinite(spoken).all() or np.abs(spoken).max() < 1e-4:
        raise TrainingFailed(
            "the trained voice gives no sound; train again, with precision FP32", reason="VoiceIsSilent"
        )
    return round(mel_distance_decibels(spoken, recorded, rate), 2)


def mel_distance_decibels(ours: Floats, theirs: Floats, sample_rate_hertz: int) -> float:
    """Mean absolute difference of two log-mel spectrograms, over the upper 60 dB of the second."""
    a, b = (_mel_decibels(audio, sample_rate_hertz) for audio in (ours, theirs))
    floor = b.max() - _RANGE_DECIBELS
    return float((a.clamp_min(floor) - b.clamp_min(floor)).abs().mean())


def _mel_decibels(audio: Floats, sample_rate_hertz: int) -> torch.Tensor:
    size = sample_rate_hertz // 20
    samples = torch.from_numpy(np.ascontiguousarray(audio, dtype=np.float32))
    spectrum = torch.stft(samples, size, size // 4, window=torch.hann_window(size), return_complex=True)
    filters = slaney_mel_filters(sample_rate_hertz, size, _MEL_BANDS, 0.0, sample_rate_hertz / 2)
    return 10 * (filters @ spectrum.abs().square() + 1e-10).log10()
