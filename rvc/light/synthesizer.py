"""A learnt `Light` voice as a `Synthesizer`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from rvc.architectures.interface import Floats, Window
from rvc.errors import ArtifactCorrupt
from rvc.light.decoder import Decoder
from rvc.light.excitation import pulse_train
from rvc.light.geometry import Geometry
from rvc.light.network import CONTEXT_FRAMES, SIDE_FEATURES, Network, expand_rows, side_features
from rvc.noise import white_noise
from rvc.signal import phase_at_frames

_DECODER_CONTEXT_FRAMES = 4
"""Overlap-add reaches three frames on, voicing is dilated by one."""


class LightSynthesizer:
    """Always float32: a second of sound takes hundredths of a second, and all processors agree."""

    context_frames = CONTEXT_FRAMES + _DECODER_CONTEXT_FRAMES
    tile_frames = 1000
    overlap_frames = 0
    padding_frames = 0
    speakers = 1

    def __init__(
        self, tensors: Mapping[str, torch.Tensor], sample_rate_hertz: int, device: torch.device
    ) -> None:
        self._geometry = Geometry(sample_rate_hertz)
        self._device = device
        try:
            self.content_dimension = tensors["enter.weight"].shape[1] - SIDE_FEATURES
            network = Network(self.content_dimension, self._geometry)
            network.load_state_dict(tensors)
        except (KeyError, RuntimeError, IndexError) as error:
            raise ArtifactCorrupt(
                f"the voice's tensors are not those of a Light voice at {sample_rate_hertz} Hz: {error}"
            ) from error
        self._network = network.eval().to(device)
        self._decoder = Decoder(self._geometry).to(device)

    @property
    def sample_rate_hertz(self) -> int:
        """Rate of the sound that it makes."""
        return self._geometry.sample_rate_hertz

    def expand_content(self, rows: Floats) -> Floats:
        """Content at 100 Hz in straight lines between the rows."""
        return expand_rows(torch.from_numpy(rows)).numpy()

    def excitation_phase(self, f0_hertz: Floats, voiced: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Of a pulse train that goes on through unvoiced frames."""
        return phase_at_frames(f0_hertz)

    @torch.inference_mode()
    def synthesize(self, window: Window) -> Floats:
        """[frames * hop] samples."""
        f0, voiced, phase, loudness = (
            torch.from_numpy(np.ascontiguousarray(array))[None].to(self._device)
            for array in (
                window.f0_hertz,
                window.voiced,
                window.phase_cycles.astype(np.float32),
                window.loudness,
            )
        )
        content = torch.from_numpy(np.ascontiguousarray(window.content))[None].to(self._device)
        log_magnitudes = self._network(torch.cat([content, side_features(f0, voiced, loudness)], -1))
        if window.formant_ratio != 1.0:
            moved = self._geometry.moved_bands(window.formant_ratio).to(self._device)
            log_magnitudes = (log_magnitudes.unflatten(-1, (2, -1)) @ moved).flatten(-2)
        pulses = pulse_train(f0, voiced, phase, self.sample_rate_hertz)
        hop = self._geometry.hop
        noise = white_noise(window.seed, window.first_frame * hop, pulses.shape[-1])
        sound = self._decoder(log_magnitudes, pulses, torch.from_numpy(noise)[None].to(self._device))
        return np.asarray(sound[0].cpu().numpy(), dtype=np.float32)
