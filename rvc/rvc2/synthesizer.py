"""A learnt `RVC2` voice as a `Synthesizer`.

The prior encoder attends to all of a window, so the sound of a tile depends, a little, on what its window
holds: neighbours get a second in common and are faded into each other. All else is exact: noise and the
phase of the sine are functions of the place in the file, and the decoder hears as far as it reaches.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import scipy.signal
import torch
from numpy.typing import NDArray

from rvc.architectures.interface import FRAMES_PER_ROW, Floats, Hyperparameters, Window
from rvc.device import conversion_type
from rvc.errors import ArtifactCorrupt, InvalidConfiguration
from rvc.noise import white_noise
from rvc.pitch.quantise import pitch_bins
from rvc.rvc2.geometry import Geometry
from rvc.rvc2.layers import fold_weight_norm
from rvc.rvc2.network import Excerpt, Features, Network
from rvc.rvc2.source import phase_before
from rvc.rvc2.state import load_state

BLOCK_FRAMES = 400
"""Of the decoder on a CPU, which bounds memory."""
_ACCELERATOR_BLOCK_FRAMES = 2000
_NOISE_STREAMS = 2


class RVC2Synthesizer:
    """On a CPU packed, and in the type that `conversion_type` says."""

    context_frames = 100
    tile_frames = 2000
    overlap_frames = 10
    padding_frames = 100

    def __init__(
        self,
        tensors: Mapping[str, torch.Tensor],
        sample_rate_hertz: int,
        hyperparameters: Hyperparameters,
        device: torch.device,
    ) -> None:
        self.geometry = Geometry.from_dict(hyperparameters)
        if self.geometry.sample_rate_hertz != sample_rate_hertz:
            raise ArtifactCorrupt(
                f"the voice's sizes are those of {self.geometry.sample_rate_hertz} Hz, its manifest says "
                f"{sample_rate_hertz} Hz"
            )
        network = Network(self.geometry)
        load_state(network, tensors)
        fold_weight_norm(network)
        self._network = network.eval().requires_grad_(False).to(device)
        if device.type == "cpu":
            network.pack(conversion_type(device))
        self._device = device
        self._block_frames = BLOCK_FRAMES if device.type == "cpu" else _ACCELERATOR_BLOCK_FRAMES

    @property
    def sample_rate_hertz(self) -> int:
        """Rate of the sound that it makes."""
        return self.geometry.sample_rate_hertz

    @property
    def content_dimension(self) -> int:
        """Width of ContentVec's features: 768, or 256 for a voice of version 1."""
        return self.geometry.content_dimension

    @property
    def speakers(self) -> int:
        """Rows of the table of speakers, whether or not they were trained."""
        return self.geometry.speakers

    def expand_content(self, rows: Floats) -> Floats:
        """Every row twice."""
        return np.repeat(rows, FRAMES_PER_ROW, 0)

    def excitation_phase(self, f0_hertz: Floats, voiced: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Of a sine that stands still where the file is unvoiced."""
        f0 = torch.from_numpy(np.where(voiced, f0_hertz, np.float32(0)))
        return phase_before(f0, self.sample_rate_hertz).numpy()

    @torch.inference_mode()
    def synthesize(self, window: Window) -> Floats:
        """[frames * hop] samples. Raises InvalidConfiguration for a speaker that the voice does not have."""
        frames = len(window.content)
        stretched = math.ceil(frames * window.formant_ratio)
        sound = self._network.infer(
            self._features(window, stretched / frames),
            self._prior_noise(window),
            self._source_noise(window),
            torch.from_numpy(window.phase_cycles[:1]).to(self._device) if self.geometry.f0 else None,
            Excerpt(0, frames, stretched),
            self._block_frames,
        )
        samples: Floats = sound[0, 0].cpu().numpy()
        if stretched != frames:
            # Faster by as much as it is longer: pitch and length are back, the formants have moved.
            samples = scipy.signal.resample_poly(samples, frames, stretched)
        return np.asarray(samples, dtype=np.float32)

    def _features(self, window: Window, stretch: float) -> Features:
        if not 0 <= window.speaker_id < self.geometry.speakers:
            raise InvalidConfiguration(
                f"the voice has {self.geometry.speakers} speakers, counted from 0; there is no speaker "
                f"{window.speaker_id}"
            )
        f0 = np.where(window.voiced, window.f0_hertz, np.float32(0))
        # The network is told the pitch that its sound has before it is brought back to its length.
        bins = pitch_bins(f0 / stretch)
        return Features(
            content=self._batch(window.content),
            lengths=torch.tensor([len(window.content)], device=self._device),
            speaker=torch.tensor([window.speaker_id], device=self._device),
            pitch=self._batch(bins) if self.geometry.f0 else None,
            f0_hertz=self._batch(f0) if self.geometry.f0 else None,
        )

    def _prior_noise(self, window: Window) -> torch.Tensor:
        """[1, inter channels, frames]."""
        channels = self.geometry.inter_channels
        first, count = window.first_frame * channels, len(window.content) * channels
        noise = _normal_noise(_NOISE_STREAMS * window.seed, first, count)
        return self._batch(noise.reshape(-1, channels).T)

    def _source_noise(self, window: Window) -> torch.Tensor | None:
        """[1, frames * hop]."""
        if not self.geometry.f0:
            return None
        hop = self.geometry.hop
        first, count = window.first_frame * hop, len(window.content) * hop
        return self._batch(_normal_noise(_NOISE_STREAMS * window.seed + 1, first, count))

    def _batch(self, array: NDArray[np.generic]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array))[None].to(self._device)


def _normal_noise(seed: int, first: int, count: int) -> Floats:
    """Standard normal noise at the places `first ...`, [count]."""
    uniform = torch.from_numpy(white_noise(seed, first, count)) / math.sqrt(3)
    return (uniform.clamp(-1 + 1e-6, 1 - 1e-6).erfinv() * math.sqrt(2)).numpy()
