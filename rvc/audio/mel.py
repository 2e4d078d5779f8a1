"""Mel filters on Slaney's scale, as Whisper and FCPE were trained with (librosa's default), and on HTK's, as
RMVPE was.

Ours, so that conversion need not import librosa, which takes longer to load than a short file takes to
convert.
"""

from __future__ import annotations

import numpy as np
import torch

_LINEAR_HERTZ_PER_MEL = 200.0 / 3.0
_LOG_START_HERTZ = 1000.0
_LOG_START_MEL = _LOG_START_HERTZ / _LINEAR_HERTZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27.0


def _hertz_to_mel(hertz: float) -> float:
    if hertz < _LOG_START_HERTZ:
        return hertz / _LINEAR_HERTZ_PER_MEL
    return float(_LOG_START_MEL + np.log(hertz / _LOG_START_HERTZ) / _LOG_STEP)


def _mel_to_hertz(mel: np.ndarray) -> np.ndarray:
    logarithmic = _LOG_START_HERTZ * np.exp(_LOG_STEP * (mel - _LOG_START_MEL))
    return np.where(mel < _LOG_START_MEL, mel * _LINEAR_HERTZ_PER_MEL, logarithmic)


def slaney_mel_filters(
    sample_rate_hertz: int, fft_size: int, bands: int, low_hertz: float, high_hertz: float
) -> torch.Tensor:
    """Triangular filters of equal area: float32 [bands, fft_size // 2 + 1], to be multiplied with spectra."""
    mels = np.linspace(_hertz_to_mel(low_hertz), _hertz_to_mel(high_hertz), bands + 2)
    return _triangles(_mel_to_hertz(mels), sample_rate_hertz, fft_size)


def htk_mel_filters(
    sample_rate_hertz: int, fft_size: int, bands: int, low_hertz: float, high_hertz: float
) -> torch.Tensor:
    """As `slaney_mel_filters`, equal areas included, with the edges evenly spaced on HTK's mel scale."""
    octaves = np.linspace(np.log2(1.0 + low_hertz / 700.0), np.log2(1.0 + high_hertz / 700.0), bands + 2)
    return _triangles(700.0 * (np.exp2(octaves) - 1.0), sample_rate_hertz, fft_size)


def _triangles(edges_hertz: np.ndarray, sample_rate_hertz: int, fft_size: int) -> torch.Tensor:
    bins = np.linspace(0.0, sample_rate_hertz / 2, fft_size // 2 + 1)
    widths = np.diff(edges_hertz)
    rising = (bins[None, :] - edges_hertz[:-2, None]) / widths[:-1, None]
    falling = (edges_hertz[2:, None] - bins[None, :]) / widths[1:, None]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    areas = 2.0 / (edges_hertz[2:] - edges_hertz[:-2])
    return torch.from_numpy((triangles * areas[:, None]).astype(np.float32))
