"""The content encoder that comes with the program: no download, eight megabytes.

The first four blocks of Whisper-base, taught to say the same when the sound is disguised as another's, in
five bits a weight; see README.md. Windows lie on a fixed grid, as for its teacher.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load as load_safetensors

from rvc.content.small.network import (
    DIMENSION,
    FFT_SIZE,
    SAMPLES_PER_ROW,
    SmallNetwork,
    log_mel,
    mel_filters,
    power_spectrum,
)
from rvc.content.small.packing import unpack
from rvc.content.windows import WindowGrid
from rvc.contract import ContentEncoder as ContentEncoderName

WEIGHTS = Path(__file__).with_name("weights.safetensors")

_GRID = WindowGrid(hop_frames=300, context_frames=50, fade_frames=50)


class SmallEncoder:
    """The content encoder `Small`; see `rvc.content.ContentEncoder`.

    It hears recordings well whose speech has an RMS between 0.01 and 0.3 of full scale.
    """

    name = ContentEncoderName.SMALL
    dimension = DIMENSION

    def __init__(self, device: torch.device, weights: Path = WEIGHTS) -> None:
        content = weights.read_bytes()
        self.digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self._device = device
        network = SmallNetwork()
        shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
        network.load_state_dict(unpack(load_safetensors(content), shapes))
        self._network = network.eval().to(device)
        self._filters = mel_filters().to(device)
        self._window = torch.hann_window(FFT_SIZE, device=device)

    def __call__(self, audio: np.ndarray) -> np.ndarray:
        """Features [ceil(samples / 320), 512] of the whole recording."""
        return self.encode_range(audio, 0, -(-len(audio) // SAMPLES_PER_ROW))

    def encode_range(self, audio: np.ndarray, first_frame: int, last_frame: int) -> np.ndarray:
        """Rows [first_frame, last_frame) of what the whole recording gives."""
        blocks = list(self._rows(audio, first_frame, last_frame))
        return np.concatenate(blocks) if blocks else np.zeros((0, DIMENSION), np.float32)

    def encode_blocks(self, audio: np.ndarray) -> Iterator[np.ndarray]:
        """Rows of the whole recording in blocks of six seconds."""
        return self._rows(audio, 0, -(-len(audio) // SAMPLES_PER_ROW))

    def _rows(self, audio: np.ndarray, first: int, last: int) -> Iterator[np.ndarray]:
        rows = -(-len(audio) // SAMPLES_PER_ROW)
        return _GRID.rows(lambda start, end: self._encode_window(audio, start, end), rows, first, last)

    @torch.inference_mode()
    def _encode_window(self, audio: np.ndarray, start: int, end: int) -> np.ndarray:
        first = start * SAMPLES_PER_ROW - FFT_SIZE // 2
        last = end * SAMPLES_PER_ROW + FFT_SIZE // 2
        samples = np.zeros(last - first, np.float32)
        inside = audio[max(first, 0) : last]
        samples[max(-first, 0) :][: len(inside)] = inside
        power = power_spectrum(torch.from_numpy(samples).to(self._device), self._window)[:, :-1]
        features = self._network(log_mel(power, self._filters)[None])
        return np.asarray(features[0].cpu().numpy())
