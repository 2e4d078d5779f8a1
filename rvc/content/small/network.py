"""The network of `Small`: the shape of its teacher, and a map onto what is to be content.

Two convolutions and four transformer blocks, 13.8 million parameters. It begins as the teacher (same names,
same shapes) and is then taught.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from rvc.audio.mel import slaney_mel_filters
from rvc.content.whisper import TransformerBlock

SAMPLE_RATE_HERTZ = 16000
SAMPLES_PER_ROW = 320
DIMENSION = 512
BLOCKS = 4

FFT_SIZE = 400
HOP = 160
_MEL_BANDS = 80
_GAIN = 5.0
"""Brings the power of speech of RMS 0.08 to what the teacher hears."""
_POWER_FLOOR = 10.0**-6.5
_LONGEST_WAVE = 10000.0


def power_spectrum(samples: torch.Tensor, window: torch.Tensor) -> torch.Tensor:
    """[..., 160 frames + 240] samples to power [..., 201, frames]; frame j is centred on sample
    160 j + 200 of them."""
    spectrum = torch.stft(samples, FFT_SIZE, HOP, window=window, center=False, return_complex=True)
    return torch.view_as_real(spectrum).square().sum(-1)


def mel_filters() -> torch.Tensor:
    """[80, 201]."""
    return slaney_mel_filters(SAMPLE_RATE_HERTZ, FFT_SIZE, _MEL_BANDS, 0.0, SAMPLE_RATE_HERTZ / 2)


def log_mel(power: torch.Tensor, filters: torch.Tensor) -> torch.Tensor:
    """Power [..., 201, frames] to what the network reads, [..., 80, frames]: about -0.6 to 1.3."""
    return ((_GAIN * filters @ power).clamp_min(_POWER_FLOOR).log10() + 4.0) / 4.0


class SmallNetwork(nn.Module):
    """Log mel [batch, 80, 2 rows] at 100 Hz to features [batch, rows, 512] at 50 Hz, each of about unit
    variance over the speech of many speakers."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution_1 = nn.Conv1d(_MEL_BANDS, DIMENSION, 3, padding=1)
        self.convolution_2 = nn.Conv1d(DIMENSION, DIMENSION, 3, stride=2, padding=1)
        self.blocks = nn.ModuleList(TransformerBlock() for _ in range(BLOCKS))
        self.leave = nn.Linear(DIMENSION, DIMENSION)

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        """As the class says."""
        return torch.as_tensor(self.leave(self.body(mel)))

    def body(self, mel: torch.Tensor) -> torch.Tensor:
        """What the last map reads, [batch, rows, 512]."""
        x = F.gelu(self.convolution_2(F.gelu(self.convolution_1(mel)))).transpose(1, 2)
        x = x + _positions(x.shape[1]).to(x.device)
        for block in self.blocks:
            x = block(x)
        return x


def _positions(rows: int) -> torch.Tensor:
    """Sines, then cosines, of 256 waves from 2 pi to 20000 pi rows long: [rows, 512]."""
    half = DIMENSION // 2
    rates = torch.exp(-math.log(_LONGEST_WAVE) / (half - 1) * torch.arange(half))
    angles = torch.arange(rows)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], 1)
