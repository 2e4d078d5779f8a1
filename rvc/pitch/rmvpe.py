"""RMVPE, a pitch network for voices in music (Wei et al. 2023), with the official weights under their names.

A log mel spectrogram at 100 Hz goes as an image through a U-Net of residual blocks, and then along time
through a bidirectional GRU, to a salience over 360 pitches, 20 cents apart; F0 is the weighted mean around
the most salient one.

The network reaches far (the bottom of the U-Net alone sees ten seconds to either side), but a pitch is taken
not to depend on what is that far away: recordings of up to 25 seconds are seen whole and longer ones in
windows with 2.5 seconds of context. Windows begin at multiples of 32 frames, the step of the bottom, so that
time is halved as in a single pass.
"""

from __future__ import annotations

import numpy as np
import torch

from rvc.audio.mel import htk_mel_filters
from rvc.base_models import BaseModel
from rvc.contract import PitchMethod
from rvc.pitch.rmvpe_network import MEL_BANDS, RMVPENetwork, Sizes
from rvc.pitch.weights import load_strictly
from rvc.pitch.windows import HOP, Windows, centred

SAMPLE_RATE_HERTZ = 16000
VOICING_THRESHOLD = 0.03

_FFT_SIZE = 1024
_LOWEST_CENTS = 1997.3794084376191
_CENTS_PER_PITCH = 20.0


class RMVPE:
    """The pitch method `RMVPE`; see `rvc.pitch.PitchExtractor`."""

    name = PitchMethod.RMVPE
    windows = Windows(length=2560, context=256, grid=32)

    def __init__(self, weights: BaseModel, device: torch.device) -> None:
        """Raises `ArtifactCorrupt` for weights that are not RMVPE's."""
        self.digest = weights.digest
        self._device = device
        network = RMVPENetwork(Sizes.of(weights.tensors))
        load_strictly(network, weights.tensors, "RMVPE")
        self._network = network.eval().to(device)
        filters = htk_mel_filters(SAMPLE_RATE_HERTZ, _FFT_SIZE, MEL_BANDS, 30.0, 8000.0)
        self._filters = filters.to(device)
        self._window = torch.hann_window(_FFT_SIZE, device=device)

    def __call__(self, audio: np.ndarray) -> np.ndarray:
        """F0 in hertz, float32 [samples // 160]; 0 = unvoiced."""
        frames = len(audio) // HOP
        if not frames:
            return np.zeros(0, np.float32)
        # The network has always been given the frame around the end as well.
        return self.windows(frames + 1, lambda first, last: self._hertz(audio, first, last))[:frames]

    def _hertz(self, audio: np.ndarray, first: int, last: int) -> np.ndarray:
        # No limits: songs of high voices go beyond the 1100 Hz at which RVC's pitch bins end.
        salience = self.salience(self.log_mel(audio, first, last))
        return decode_salience(salience, VOICING_THRESHOLD).astype(np.float32)

    @torch.inference_mode()
    def log_mel(self, audio: np.ndarray, first: int, last: int) -> torch.Tensor:
        """[128, last - first] of the frames [first, last) of mono audio at 16 kHz."""
        samples = torch.from_numpy(centred(audio, first, last, _FFT_SIZE, "reflect")).to(self._device)
        spectrum = torch.stft(samples, _FFT_SIZE, HOP, window=self._window, center=False, return_complex=True)
        return (self._filters @ spectrum.abs()).clamp_min(1e-5).log()

    @torch.inference_mode()
    def salience(self, log_mel: torch.Tensor) -> np.ndarray:
        """[frames, 360] of a log mel spectrogram [128, frames]."""
        return np.asarray(self._network(log_mel[None])[0].cpu().numpy())


def decode_salience(salience: np.ndarray, threshold: float) -> np.ndarray:
    """F0 in hertz, float64 [frames], from salience [frames, 360]; 0 where no pitch passes the threshold.

    Mean of cents over the nine pitches around the maximum, weighted by salience; columns beyond the ends
    weigh nothing.
    """
    if not len(salience):
        return np.zeros(0)
    weights = np.pad(np.asarray(salience, np.float64), ((0, 0), (4, 4)))
    near = salience.argmax(axis=1)[:, None] + np.arange(9)
    weights = np.take_along_axis(weights, near, axis=1)
    cents = _LOWEST_CENTS + _CENTS_PER_PITCH * (near - 4)
    with np.errstate(invalid="ignore"):
        hertz = 10.0 * np.exp2((weights * cents).sum(1) / weights.sum(1) / 1200.0)
    return np.where(salience.max(axis=1) > threshold, hertz, 0.0)
