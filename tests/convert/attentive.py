"""A synthesizer that hears its whole window in every frame, as attention does, and draws noise."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rvc.architectures import Conventions, Window
from rvc.noise import white_noise
from rvc.signal import Moments
from rvc.source import Source

HOP = 160
RVC2 = Conventions(standardizes_content=False, levels_speech=False, gates_f0=False)


@dataclass(frozen=True)
class Attentive:
    """Its sound is the content of each frame, held, plus a part of the window's mean, what the phase of the
    excitation makes, and noise."""

    tile_frames: int = 100
    overlap_frames: int = 20
    context_frames: int = 30
    padding_frames: int = 100
    attention: float = 1.0
    noise: float = 0.0
    excitation: float = 0.0
    sample_rate_hertz: int = 16000
    content_dimension: int = 1
    speakers: int = 3

    def expand_content(self, rows: np.ndarray) -> np.ndarray:
        return rows.repeat(2, axis=0)

    def excitation_phase(self, f0_hertz: np.ndarray, voiced: NDArray[np.bool_]) -> np.ndarray:
        return np.cumsum(np.where(voiced, f0_hertz, 0)) * 0.01 % 1

    def synthesize(self, window: Window) -> np.ndarray:
        held = window.content[:, 0] + self.attention * window.content[:, 0].mean()
        held = held + self.excitation * np.sin(2 * np.pi * window.phase_cycles)
        noise = white_noise(window.seed, window.first_frame * HOP, len(held) * HOP)
        return (held.repeat(HOP) + self.noise * noise).astype(np.float32)


def source_of(content: np.ndarray, padding_frames: int = 0, voiced: np.ndarray | None = None) -> Source:
    """A source with one number of content for each row, padding included."""
    frames = 2 * len(content)
    nothing = Moments(0, np.zeros(1, np.float32), np.ones(1, np.float32))
    return Source(
        frames=frames - 2 * padding_frames,
        padding_frames=padding_frames,
        samples=(frames - 2 * padding_frames) * HOP,
        audio=np.zeros(frames * HOP, np.float32),
        loudness_gain=1.0,
        f0_hertz=np.full(frames, 200, np.float32),
        voiced=np.ones(frames, np.bool_) if voiced is None else voiced,
        semitones=0,
        levels=np.zeros(frames, np.float32),
        level_moments=nothing,
        content=np.asarray(content, np.float32)[:, None],
        content_moments=nothing,
    )
