"""FCPE, a convolutional pitch network (Luo et al. 2024, weights of torchfcpe 0.0.4).

A log mel spectrogram at 100 Hz goes through a stem and six conformer blocks without attention to a salience
over 360 pitches, 20 cents apart; F0 is the weighted mean around the most salient one.

The stem's group norm averages over all frames that it sees, so recordings of up to half a minute are seen
whole, as the network was trained, and longer ones in windows with a second of context, which covers what the
convolutions reach.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from rvc.audio.mel import slaney_mel_filters
from rvc.base_models import BaseModel
from rvc.contract import PitchMethod
from rvc.pitch.weights import load_strictly
from rvc.pitch.windows import HOP, Windows, in_range

SAMPLE_RATE_HERTZ = 16000

_FFT_SIZE = 1024
_MEL_BANDS = 128
_WIDTH = 512
_BLOCKS = 6
_KERNEL = 31
_PITCHES = 360
_VOICING_THRESHOLD = 0.006
_LOWEST_CENTS = 1200.0 * math.log2(32.7 / 10.0)
_HIGHEST_CENTS = 1200.0 * math.log2(1975.5 / 10.0)


class _Block(nn.Module):
    """Convolution module of a conformer, residual, on [1, frames, 512]."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(_WIDTH)
        self.expand = nn.Linear(_WIDTH, 4 * _WIDTH)
        self.depthwise = nn.Conv1d(2 * _WIDTH, 2 * _WIDTH, _KERNEL, padding=_KERNEL // 2, groups=2 * _WIDTH)
        self.project = nn.Linear(2 * _WIDTH, _WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gated = F.glu(self.expand(self.norm(x)), dim=-1)
        # As an image of height one in channels-last order: many times faster on a CPU than conv1d.
        image = gated.transpose(1, 2).unsqueeze(2)
        mixed = F.conv2d(
            image,
            self.depthwise.weight.unsqueeze(2),
            self.depthwise.bias,
            padding=(0, _KERNEL // 2),
            groups=2 * _WIDTH,
        )
        return x + torch.as_tensor(self.project(F.silu(mixed.squeeze(2).transpose(1, 2))))


class _WeightNormedLinear(nn.Module):
    """A linear layer as it was trained: rows of a direction and a gain."""

    def __init__(self) -> None:
        super().__init__()
        self.direction = nn.Parameter(torch.zeros(_PITCHES, _WIDTH))
        self.gain = nn.Parameter(torch.zeros(_PITCHES, 1))
        self.bias = nn.Parameter(torch.zeros(_PITCHES))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.gain * F.normalize(self.direction, dim=1), self.bias)


class FCPENetwork(nn.Module):
    """Log mel [1, 128, frames] to salience [1, frames, 360] in 0..1."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution_in = nn.Conv1d(_MEL_BANDS, _WIDTH, 3, padding=1)
        self.group_norm = nn.GroupNorm(4, _WIDTH)
        self.convolution_out = nn.Conv1d(_WIDTH, _WIDTH, 3, padding=1)
        self.blocks = nn.ModuleList(_Block() for _ in range(_BLOCKS))
        self.norm = nn.LayerNorm(_WIDTH)
        self.output = _WeightNormedLinear()

    def forward(self, log_mel: torch.Tensor) -> torch.Tensor:
        """As the class says."""
        x = F.leaky_relu(self.group_norm(self.convolution_in(log_mel)))
        x = self.convolution_out(x).transpose(1, 2).contiguous()
        for block in self.blocks:
            x = block(x)
        return torch.sigmoid(self.output(self.norm(x)))


class FCPE:
    """The pitch method `FCPE`; see `rvc.pitch.PitchExtractor`."""

    name = PitchMethod.FCPE
    windows = Windows(length=3200, context=100)

    def __init__(self, weights: BaseModel, device: torch.device) -> None:
        """Raises `ArtifactCorrupt` for weights that are not FCPE's."""
        self.digest = weights.digest
        self._device = device
        network = FCPENetwork()
        load_strictly(network, weights.tensors, "FCPE")
        self._network = network.eval().to(device)
        self._filters = slaney_mel_filters(SAMPLE_RATE_HERTZ, _FFT_SIZE, _MEL_BANDS, 0.0, 8000.0).to(device)
        self._window = torch.hann_window(_FFT_SIZE, device=device)
        self._cents = torch.linspace(_LOWEST_CENTS, _HIGHEST_CENTS, _PITCHES, device=device)

    def __call__(self, audio: np.ndarray) -> np.ndarray:
        """F0 in hertz, float32 [samples // 160]; 0 = unvoiced."""
        return self.windows(
            len(audio) // HOP,
            lambda first, last: self.hertz(self.log_mel(audio, first, last))[: last - first],
        )

    def hertz(self, log_mel: torch.Tensor) -> np.ndarray:
        """F0 [frames] of a log mel spectrogram [128, frames]."""
        return in_range(decode_salience(self.salience(log_mel), self._cents).cpu().numpy())

    @torch.inference_mode()
    def salience(self, log_mel: torch.Tensor) -> torch.Tensor:
        """[frames, 360] of a log mel spectrogram [128, frames]."""
        return torch.as_tensor(self._network(log_mel[None])[0])

    @torch.inference_mode()
    def log_mel(self, audio: np.ndarray, first: int, last: int) -> torch.Tensor:
        """[128, last - first + 1] of the frames [first, last) of mono audio at 16 kHz, the last one twice.

        The network was trained on centred frames, one more than these; its authors repeat the last one.
        """
        samples = torch.from_numpy(_framed(audio, first * HOP, last * HOP)).to(self._device)
        spectrum = torch.stft(samples, _FFT_SIZE, HOP, window=self._window, center=False, return_complex=True)
        magnitude = torch.view_as_real(spectrum).square().sum(-1).add(1e-9).sqrt()
        return F.pad((self._filters @ magnitude).clamp_min(1e-5).log()[None], (0, 1), mode="replicate")[0]


def decode_salience(salience: torch.Tensor, cents: torch.Tensor) -> torch.Tensor:
    """F0 in hertz [frames] from salience [frames, 360] and the cents above 10 Hz of its columns.

    Mean over nine columns around the maximum, weighted by salience, the outer column repeated at the ends
    as the network's authors do; 0 where the maximum does not pass the voicing threshold.
    """
    strongest, index = salience.max(dim=-1, keepdim=True)
    near = (index + torch.arange(-4, 5, device=index.device)).clamp(0, _PITCHES - 1)
    weights = salience.gather(-1, near)
    hertz = 10.0 * torch.exp2((cents[near] * weights).sum(-1) / weights.sum(-1) / 1200.0)
    return torch.where(strongest[:, 0] > _VOICING_THRESHOLD, hertz, 0.0)


def _framed(audio: np.ndarray, start: int, end: int) -> np.ndarray:
    """Samples [start, end) with the margins of centred frames: reflected at the ends, or zeros if short."""
    left = (_FFT_SIZE - HOP) // 2
    right = _FFT_SIZE - HOP - left
    before, after = min(left, start), min(right, len(audio) - end)
    inside = np.array(audio[start - before : end + after], dtype=np.float32)
    missing = (left - before, right - after)
    padded: np.ndarray = np.pad(inside, missing, mode="reflect" if max(missing) < len(inside) else "constant")
    return padded
