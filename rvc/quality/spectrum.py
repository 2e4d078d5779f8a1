"""How far two sounds are apart that ought to be the same, sample for sample in time."""

from __future__ import annotations

import numpy as np
import scipy.fft
import torch

from rvc.audio.mel import slaney_mel_filters
from rvc.signal import Floats

_MEL_BANDS = 80
_RANGE_DECIBELS = 60.0
"""Below the loudest band of the recording nothing is compared."""
_CEPSTRA = 24
_PER_NEPER = 10 / np.log(10)


def mel_distance_decibels(ours: Floats, theirs: Floats, sample_rate_hertz: int) -> float:
    """Mean absolute difference of two log-mel spectrograms, over the upper 60 dB of the second."""
    a, b = _comparable(ours, theirs, sample_rate_hertz)
    return float((a - b).abs().mean())


def mel_cepstral_distortion(ours: Floats, theirs: Floats, sample_rate_hertz: int) -> float:
    """Kubichek's distance in dB of 24 mel cepstra, without that of loudness, frame by frame."""
    cepstra = [
        scipy.fft.dct(one.T.numpy() / (2 * _PER_NEPER), norm="ortho")[:, 1 : _CEPSTRA + 1]
        for one in _comparable(ours, theirs, sample_rate_hertz)
    ]
    # Orthonormal over 80 bands, where Kubichek's cepstra are coefficients of a cosine series.
    difference = (cepstra[0] - cepstra[1]) * np.sqrt(2 / _MEL_BANDS)
    return float(_PER_NEPER * np.sqrt(2 * (difference**2).sum(1)).mean())


def _comparable(ours: Floats, theirs: Floats, sample_rate_hertz: int) -> tuple[torch.Tensor, torch.Tensor]:
    a, b = (_mel_decibels(audio, sample_rate_hertz) for audio in (ours, theirs))
    floor = b.max() - _RANGE_DECIBELS
    return a.clamp_min(floor), b.clamp_min(floor)


def _mel_decibels(audio: Floats, sample_rate_hertz: int) -> torch.Tensor:
    """[bands, frames]."""
    size = sample_rate_hertz // 20
    samples = torch.from_numpy(np.ascontiguousarray(audio, dtype=np.float32))
    spectrum = torch.stft(samples, size, size // 4, window=torch.hann_window(size), return_complex=True)
    filters = slaney_mel_filters(sample_rate_hertz, size, _MEL_BANDS, 0.0, sample_rate_hertz / 2)
    return 10 * (filters @ spectrum.abs().square() + 1e-10).log10()
