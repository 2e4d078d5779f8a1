"""How people would rate a sound: DNSMOS (Reddy et al. 2021), the networks of the package speechmos.

Differences under 0.15 mean nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from rvc.audio import ANALYSIS_RATE_HERTZ
from rvc.audio.mel import slaney_mel_filters
from rvc.quality.packages import is_installed, packaged_file
from rvc.signal import Floats

_PACKAGE = "speechmos"
_OVERALL = "speechmos/dnsmos_models/sig_bak_ovr.onnx"
_P808 = "speechmos/dnsmos_models/model_v8.onnx"
_WINDOW_SAMPLES = int(9.01 * ANALYSIS_RATE_HERTZ)
_SIGNAL, _BACKGROUND, _OVERALL_FIT = (
    np.poly1d(coefficients)
    for coefficients in (
        (-0.08397278, 1.22083953, 0.0052439),
        (-0.13166888, 1.60915514, -0.39604546),
        (-0.06766283, 1.11546468, 0.04602535),
    )
)
"""From what the network says to the scale of the listeners, as its authors fitted it."""
_FFT_SIZE, _HOP, _BANDS = 321, 160, 120
_RANGE_DECIBELS = 80.0


@dataclass(frozen=True)
class Cleanness:
    """1 (bad) to 5 (excellent)."""

    overall: float
    signal: float
    background: float
    p808: float


class DNSMOS:
    """The two networks."""

    def __init__(self, overall: Path, p808: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = max(1, torch.get_num_threads())
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._overall, self._p808 = (
            onnxruntime.InferenceSession(str(path), options) for path in (overall, p808)
        )
        # An odd window's highest frequency lies below half the rate.
        highest = ANALYSIS_RATE_HERTZ * (_FFT_SIZE - 1) / _FFT_SIZE
        self._filters = slaney_mel_filters(cast(int, highest), _FFT_SIZE, _BANDS, 0.0, 8000.0)

    def __call__(self, audio: Floats) -> Cleanness:
        """Rate mono audio at 16 kHz, at least one sample."""
        audio = np.clip(audio, -1, 1)
        while len(audio) < _WINDOW_SAMPLES:
            audio = np.concatenate([audio, audio])
        starts = range(0, len(audio) - _WINDOW_SAMPLES + 1, ANALYSIS_RATE_HERTZ)
        rated = np.mean([self._rate(audio[start : start + _WINDOW_SAMPLES]) for start in starts], axis=0)
        return Cleanness(*(round(float(value), 3) for value in rated))

    def _rate(self, window: Floats) -> tuple[float, float, float, float]:
        signal, background, overall = self._overall.run(None, {"input_1": window[None].astype(np.float32)})[
            0
        ][0]
        p808 = self._p808.run(None, {"input_1": self._spectrogram(window[:-_HOP])[None]})[0][0][0]
        return _OVERALL_FIT(overall), _SIGNAL(signal), _BACKGROUND(background), float(p808)

    def _spectrogram(self, audio: Floats) -> np.ndarray[Any, Any]:
        spectrum = torch.stft(
            torch.from_numpy(np.ascontiguousarray(audio, dtype=np.float32)),
            _FFT_SIZE,
            _HOP,
            window=torch.hann_window(_FFT_SIZE),
            pad_mode="constant",
            return_complex=True,
        )
        power = (self._filters @ spectrum.abs().square()).clamp_min(1e-10)
        decibels = 10 * (power / power.max()).log10()
        return np.asarray(((decibels.clamp_min(-_RANGE_DECIBELS) + 40) / 40).T.numpy(), np.float32)


def load_dnsmos() -> DNSMOS | None:
    """The networks of the installed package; None without it."""
    overall, p808 = (packaged_file(_PACKAGE, name) for name in (_OVERALL, _P808))
    if overall is None or p808 is None or not is_installed("onnxruntime"):
        return None
    return DNSMOS(overall, p808)
