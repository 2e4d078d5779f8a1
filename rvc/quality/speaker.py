"""Who speaks: d-vectors of the GE2E speaker encoder (Wan et al. 2018), trained by the makers of Resemblyzer.

The cosine of two recordings of one speaker is about 0.92 (5th percentile 0.85), of two speakers 0.58 (95th
percentile 0.73). Only recordings in one language can be compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn

from rvc.audio import ANALYSIS_RATE_HERTZ
from rvc.audio.mel import slaney_mel_filters
from rvc.base_models import BaseModelName, has_base_model, open_base_model
from rvc.signal import Floats, active_frames, frame_levels

_BANDS = 40
_FFT_SIZE = 400
_HOP = 160
_WIDTH = 256
_WINDOW_FRAMES = 160
_QUIETEST_RMS = 10 ** (-30 / 20)
"""What is quieter is amplified to this."""
_MARGIN_FRAMES = 9
_SHORTEST_FRAMES = 12


class SpeakerEncoder(nn.Module):
    """Three LSTM layers over windows of 1.6 s of a mel spectrogram at 100 Hz, to unit vectors of 256."""

    def __init__(self, weights: Mapping[str, torch.Tensor]) -> None:
        super().__init__()
        self.lstm = nn.LSTM(_BANDS, _WIDTH, 3, batch_first=True)
        self.linear = nn.Linear(_WIDTH, _WIDTH)
        self.load_state_dict(dict(weights))
        self._filters = slaney_mel_filters(ANALYSIS_RATE_HERTZ, _FFT_SIZE, _BANDS, 0.0, 8000.0)
        self._window = torch.hann_window(_FFT_SIZE)

    @torch.inference_mode()
    def forward(self, audio: Floats) -> Floats:
        """d-vector [256] of mono audio at 16 kHz; pauses do not count."""
        audio = _without_pauses(audio)
        rms = float(np.sqrt(np.mean(audio**2))) + 1e-9
        samples = torch.from_numpy(np.ascontiguousarray(audio * max(1.0, _QUIETEST_RMS / rms)))
        spectrum = torch.stft(
            samples, _FFT_SIZE, _HOP, window=self._window, pad_mode="constant", return_complex=True
        )
        mel = (self._filters @ spectrum.abs().square()).T
        if len(mel) < _WINDOW_FRAMES:
            mel = mel.repeat(_WINDOW_FRAMES // len(mel) + 1, 1)
        windows = mel.unfold(0, _WINDOW_FRAMES, _WINDOW_FRAMES // 2).transpose(1, 2).contiguous()
        _, (hidden, _) = self.lstm(windows)
        vectors = nn.functional.normalize(torch.relu(self.linear(hidden[-1])), dim=1)
        return np.asarray(nn.functional.normalize(vectors.mean(0), dim=0).numpy())

    def mean(self, recordings: Iterable[Floats]) -> Floats:
        """Unit vector [256] of several recordings of one speaker."""
        mean = np.mean([self(audio) for audio in recordings], axis=0)
        return np.asarray(mean / np.linalg.norm(mean), np.float32)


def load_speaker_encoder(base_models: Path | None) -> SpeakerEncoder | None:
    """The encoder with weights from the base-model folder (None: the default one); None where they are not
    there."""
    if not has_base_model(BaseModelName.SPEAKER_ENCODER, base_models):
        return None
    return SpeakerEncoder(open_base_model(BaseModelName.SPEAKER_ENCODER, base_models).tensors)


def _without_pauses(audio: Floats) -> Floats:
    """Frames near speech; all of what is very short."""
    frames = len(audio) // _HOP
    if frames < _SHORTEST_FRAMES:
        return np.asarray(audio, np.float32)
    spoken = active_frames(frame_levels(audio, 0, frames))
    near = np.convolve(spoken, np.ones(2 * _MARGIN_FRAMES + 1), "same") > 0
    kept: Floats = audio[: frames * _HOP].reshape(frames, _HOP)[near].reshape(-1)
    return np.asarray(kept if len(kept) else audio, np.float32)
