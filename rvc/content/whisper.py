"""Content features from the first four blocks of the Whisper-base encoder (Radford et al. 2022).

Two departures from Whisper, both so that features of a long recording do not depend on how it is cut:
windows of about twelve seconds instead of thirty, without padding to a full window; and a fixed floor of
the log mel spectrogram, where Whisper takes 80 dB below the loudest moment of the window. So that the floor
fits, the recording as a whole is brought to one level first: loud or faint, it gives the same features.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from rvc.audio.mel import slaney_mel_filters
from rvc.base_models import BaseModel
from rvc.content.windows import WindowGrid
from rvc.contract import ContentEncoder as ContentEncoderName

SAMPLE_RATE_HERTZ = 16000
SAMPLES_PER_FRAME = 320
DIMENSION = 512
HEADS = 8
BLOCKS = 4

_FFT_SIZE = 400
_HOP = 160
_MEL_BANDS = 80
_LOG_MEL_LEVEL = 1.1
"""Level of speech that peaks near full scale; every recording is brought to it."""
_LOG_MEL_FLOOR = -6.5
"""80 dB below the loudest moment of such speech."""
_LARGEST_GAIN = 100.0
"""Nothing is made louder than by 40 dB: what remains faint then is no speech."""
_LEVEL_BLOCK_SAMPLES = 30 * SAMPLE_RATE_HERTZ
_TRAILING_SILENCE_FRAMES = 20
"""Whisper expects silence after the last word."""
_GRID = WindowGrid(hop_frames=500, context_frames=50, fade_frames=50)


class TransformerBlock(nn.Module):
    """Pre-norm transformer block on [batch, frames, 512]."""

    def __init__(self) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(DIMENSION)
        self.attention_in = nn.Linear(DIMENSION, 3 * DIMENSION)
        self.attention_out = nn.Linear(DIMENSION, DIMENSION)
        self.feed_forward_norm = nn.LayerNorm(DIMENSION)
        self.feed_forward_in = nn.Linear(DIMENSION, 4 * DIMENSION)
        self.feed_forward_out = nn.Linear(4 * DIMENSION, DIMENSION)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """To the same shape."""
        batch, frames, _ = x.shape
        heads = self.attention_in(self.attention_norm(x)).view(batch, frames, 3, HEADS, DIMENSION // HEADS)
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(x.shape)
        x = x + self.attention_out(attended)
        hidden = F.gelu(self.feed_forward_in(self.feed_forward_norm(x)))
        return x + torch.as_tensor(self.feed_forward_out(hidden))


class WhisperNetwork(nn.Module):
    """Log mel [1, 80, 2 * frames] at 100 Hz to features [1, frames, 512] at 50 Hz; at most 1500 frames."""

    positions: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.convolution_1 = nn.Conv1d(_MEL_BANDS, DIMENSION, 3, padding=1)
        self.convolution_2 = nn.Conv1d(DIMENSION, DIMENSION, 3, stride=2, padding=1)
        self.blocks = nn.ModuleList(TransformerBlock() for _ in range(BLOCKS))
        self.register_buffer("positions", torch.zeros(1500, DIMENSION))

    def forward(self, log_mel: torch.Tensor) -> torch.Tensor:
        """As the class says."""
        x = F.gelu(self.convolution_2(F.gelu(self.convolution_1(log_mel)))).transpose(1, 2)
        x = x + self.positions[: x.shape[1]]
        for block in self.blocks:
            x = block(x)
        return x


class WhisperEncoder:
    """The content encoder `WhisperBase`; see `rvc.content.ContentEncoder`."""

    name = ContentEncoderName.WHISPER_BASE
    dimension = DIMENSION

    def __init__(self, weights: BaseModel, device: torch.device) -> None:
        self.digest = weights.digest
        self._device = device
        network = WhisperNetwork()
        network.load_state_dict(weights.tensors)
        self._network = network.float().eval().to(device)
        self._filters = slaney_mel_filters(SAMPLE_RATE_HERTZ, _FFT_SIZE, _MEL_BANDS, 0.0, 8000.0).to(device)
        self._window = torch.hann_window(_FFT_SIZE, device=device)

    def __call__(self, audio: np.ndarray) -> np.ndarray:
        """Features [ceil(samples / 320), 512] of the whole recording."""
        return self.encode_range(audio, 0, frame_count(len(audio)))

    def encode_range(self, audio: np.ndarray, first_frame: int, last_frame: int) -> np.ndarray:
        """Rows [first_frame, last_frame) of what the whole recording gives."""
        blocks = list(self._rows(audio, first_frame, last_frame))
        return np.concatenate(blocks) if blocks else np.zeros((0, DIMENSION), np.float32)

    def encode_blocks(self, audio: np.ndarray) -> Iterator[np.ndarray]:
        """Rows of the whole recording in blocks of about ten seconds; each window is computed once."""
        return self._rows(audio, 0, frame_count(len(audio)))

    def _rows(self, audio: np.ndarray, first: int, last: int) -> Iterator[np.ndarray]:
        frames = frame_count(len(audio))
        gain = self._gain(audio)
        return _GRID.rows(
            lambda start, end: self._encode_window(audio, gain, start, end), frames, first, last
        )

    @torch.inference_mode()
    def _gain(self, audio: np.ndarray) -> float:
        """Factor that brings the recording to the level that the network hears best.

        The level is the mean of each frame's strongest band, weighted by itself: pauses and single clicks
        hardly count.
        """
        total = weighted = 0.0
        for start in range(0, len(audio), _LEVEL_BLOCK_SAMPLES):
            samples = _framed(audio, start, min(start + _LEVEL_BLOCK_SAMPLES, len(audio)))
            strongest = self._mel_power(torch.from_numpy(samples).to(self._device)).amax(0).double()
            total += float(strongest.sum())
            weighted += float(strongest.square().sum())
        if total == 0.0:
            return 1.0
        return min(math.sqrt(10.0**_LOG_MEL_LEVEL * total / weighted), _LARGEST_GAIN)

    @torch.inference_mode()
    def _encode_window(self, audio: np.ndarray, gain: float, start: int, end: int) -> np.ndarray:
        closing = 0 if end * SAMPLES_PER_FRAME < len(audio) else _TRAILING_SILENCE_FRAMES
        samples = _framed(audio, start * SAMPLES_PER_FRAME, (end + closing) * SAMPLES_PER_FRAME)
        power = self._mel_power(torch.from_numpy(samples).to(self._device).mul_(gain))
        log_mel = power.clamp_min(10.0**_LOG_MEL_FLOOR).log10()
        features = self._network(((log_mel + 4.0) / 4.0)[None])
        return np.asarray(features[0, : end - start].cpu().numpy())

    def _mel_power(self, samples: torch.Tensor) -> torch.Tensor:
        """[80, frames] at 100 Hz of samples that carry half an FFT on both sides."""
        spectrum = torch.stft(
            samples, _FFT_SIZE, _HOP, window=self._window, center=False, return_complex=True
        )[:, :-1]
        power = torch.view_as_real(spectrum).square().sum(-1)
        return self._filters @ power


def frame_count(samples: int) -> int:
    """Frames at 50 Hz of that many samples at 16 kHz."""
    return -(-samples // SAMPLES_PER_FRAME)


def _framed(audio: np.ndarray, start: int, end: int) -> np.ndarray:
    """Samples [start, end) and half an FFT around them: reflected before the recording, zeros after it."""
    margin = _FFT_SIZE // 2
    framed = np.zeros(end - start + 2 * margin, dtype=np.float32)
    before = min(margin, start)
    inside = audio[start - before : end + margin]
    framed[margin - before : margin - before + len(inside)] = inside
    if before < margin:
        framed[:margin] = framed[2 * margin : margin : -1]
    return framed
