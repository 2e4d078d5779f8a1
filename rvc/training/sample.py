"""A voice under way, heard: it says again what was said in recordings it is not trained on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from rvc.architectures import (
    FRAMES_PER_ROW,
    ROWS_PER_SECOND,
    Architecture,
    Hyperparameters,
    Synthesizer,
    TrainingSet,
    Window,
)
from rvc.signal import Floats, interpolate_unvoiced

_SECONDS = 8.0
_FULL_SCALE = 32767


@dataclass(frozen=True)
class Listening:
    """The clips that a voice says again, the same at every checkpoint."""

    architecture: Architecture
    clips: TrainingSet
    """Of which the first seconds are spoken."""
    seconds: float = _SECONDS

    @property
    def sample_rate_hertz(self) -> int:
        """Of what is spoken."""
        return self.clips.sample_rate_hertz

    def recorded(self) -> Floats:
        """What was recorded, [samples]."""
        return np.concatenate([clip for _, clip in self.recordings()])

    def recordings(self) -> Iterator[tuple[int, Floats]]:
        """(speaker, [samples]) of what was recorded, clip by clip."""
        samples_per_row = self.sample_rate_hertz // ROWS_PER_SECOND
        for clip, start, end in self._spoken():
            sound = self.clips.audio[start * samples_per_row : end * samples_per_row]
            yield int(self.clips.clip_speakers[clip]), sound

    def speak(
        self, tensors: Mapping[str, torch.Tensor], hyperparameters: Hyperparameters, device: torch.device
    ) -> Floats:
        """The same from its features in the voice of `tensors`, [samples]."""
        voice = self.architecture.load(tensors, self.sample_rate_hertz, hyperparameters, device)
        return np.concatenate([voice.synthesize(self._window(voice, *clip)) for clip in self._spoken()])

    def _spoken(self) -> list[tuple[int, int, int]]:
        """(clip, first row, last row) of the first seconds."""
        left = int(self.seconds * ROWS_PER_SECOND)
        spoken = []
        for clip, (start, end) in enumerate(pairwise(self.clips.clip_rows.tolist())):
            if left <= 0:
                break
            spoken.append((clip, start, min(end, start + left)))
            left -= end - start
        return spoken

    def _window(self, voice: Synthesizer, clip: int, start: int, end: int) -> Window:
        frames = slice(start * FRAMES_PER_ROW, end * FRAMES_PER_ROW)
        heard = self.clips.f0_hertz[frames]
        f0, voiced = interpolate_unvoiced(heard), heard > 0
        return Window(
            first_frame=frames.start,
            content=voice.expand_content(self.clips.content[start:end].astype(np.float32)),
            f0_hertz=f0,
            voiced=voiced,
            phase_cycles=voice.excitation_phase(f0, voiced),
            loudness=self.clips.loudness[frames],
            speaker_id=int(self.clips.clip_speakers[clip]),
            seed=0,
        )


def to_pcm(sound: Floats) -> torch.Tensor:
    """Sound as 16-bit samples, limited to full scale."""
    return torch.from_numpy((np.clip(sound, -1, 1) * _FULL_SCALE).astype(np.int16))


def from_pcm(pcm: torch.Tensor) -> Floats:
    """The inverse of `to_pcm`."""
    return pcm.numpy().astype(np.float32) / np.float32(_FULL_SCALE)
