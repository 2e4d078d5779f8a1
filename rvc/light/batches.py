"""Batches of random seconds, made harder than the recordings are.

At conversion the content comes from another speaker and has passed through retrieval. So in training it is
blurred towards its nearest neighbours in *other* clips, as retrieval will do, and noise is added, per row and
per segment; pitch and loudness wander a little for the same reason.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rvc.architectures.interface import FRAMES_PER_ROW, ROWS_PER_SECOND, TrainingSet
from rvc.light.geometry import Geometry
from rvc.light.network import expand_rows, side_features
from rvc.noise import white_noise
from rvc.signal import interpolate_unvoiced, phase_at_frames

SEGMENT_ROWS = ROWS_PER_SECOND
SEGMENT_FRAMES = SEGMENT_ROWS * FRAMES_PER_ROW

_NEIGHBOURS = 4
_NEIGHBOUR_PROBABILITY = 0.7
_BANK_ROWS = 16384
"""Rows to look for neighbours among; a random choice of a longer timeline, to keep the search linear."""
_QUERY_BLOCK = 1024
_ROW_NOISE = 0.3
_SEGMENT_NOISE = 0.3
_LARGEST_VALIDATION_SEGMENTS = 60
_PITCH_SHIFT = 0.15
_LOUDNESS_SHIFT = 0.2


@dataclass(frozen=True)
class Batch:
    """Network inputs, excitation inputs and the recordings themselves."""

    features: torch.Tensor
    """[batch, frames, dimension + 3]."""
    f0_hertz: torch.Tensor
    """[batch, frames], never 0; as are the two below."""
    voiced: torch.Tensor
    phase_cycles: torch.Tensor
    noise: torch.Tensor
    """[batch, frames * hop], uniform of variance 1."""
    audio: torch.Tensor
    """[batch, frames * hop]."""

    def part(self, items: slice) -> Batch:
        """Some of its segments."""
        return Batch(*(getattr(self, field.name)[items] for field in fields(self)))


class Batches:
    """Draws batches from a training set; what it draws depends on the generator alone."""

    def __init__(
        self, dataset: TrainingSet, batch_size: int, generator: torch.Generator, device: torch.device
    ) -> None:
        self._dataset = dataset
        self._batch_size = batch_size
        self._generator = generator
        self._device = device
        self._hop = Geometry(dataset.sample_rate_hertz).hop
        f0 = interpolate_unvoiced(dataset.f0_hertz)
        self._f0 = torch.from_numpy(f0)
        self._voiced = torch.from_numpy(dataset.f0_hertz > 0)
        self._phase = torch.from_numpy(phase_at_frames(f0).astype(np.float32))
        self._loudness = torch.from_numpy(np.ascontiguousarray(dataset.loudness))
        self._bank, self._neighbours = _neighbours(dataset, device)

    def draw(self) -> Batch:
        """A batch of random segments; they may run over the border of two clips, as speech runs over
        pauses."""
        last = len(self._dataset.content) - SEGMENT_ROWS
        starts = torch.randint(0, last + 1, (self._batch_size,), generator=self._generator)
        frames = starts[:, None] * FRAMES_PER_ROW + torch.arange(SEGMENT_FRAMES)
        sides = side_features(self._f0[frames], self._voiced[frames], self._loudness[frames])
        sides[..., 0] += _PITCH_SHIFT * self._normal(self._batch_size, 1)
        sides[..., 2] += _LOUDNESS_SHIFT * self._normal(self._batch_size, 1)
        content = expand_rows(self._content(starts))
        samples = SEGMENT_FRAMES * self._hop
        noise = torch.rand(self._batch_size, samples, generator=self._generator) - 0.5
        audio = np.stack([self._dataset.audio[int(start) * 2 * self._hop :][:samples] for start in starts])
        return Batch(
            features=torch.cat([content, sides], -1).to(self._device),
            f0_hertz=self._f0[frames].to(self._device),
            voiced=self._voiced[frames].to(self._device),
            phase_cycles=self._phase[frames].to(self._device),
            noise=(noise * 12**0.5).to(self._device),
            audio=torch.from_numpy(audio).to(self._device),
        )

    def _content(self, starts: torch.Tensor) -> torch.Tensor:
        """[batch, rows, dimension]: recorded content, towards its neighbours, with noise."""
        rows = starts[:, None] + torch.arange(SEGMENT_ROWS)
        content = torch.from_numpy(np.stack([self._dataset.content[row] for row in rows.numpy()])).float()
        nearest = self._neighbours[rows]
        found = self._bank[nearest].float()
        neighbours = torch.where(nearest[..., None] < 0, content[:, :, None], found).mean(2)
        chosen = torch.rand(self._batch_size, 1, 1, generator=self._generator) < _NEIGHBOUR_PROBABILITY
        rate = chosen * torch.rand(self._batch_size, 1, 1, generator=self._generator)
        content = torch.lerp(content, neighbours, rate.expand_as(content))
        content += _ROW_NOISE * self._normal(*content.shape)
        return content + _SEGMENT_NOISE * self._normal(self._batch_size, 1, content.shape[-1])

    def _normal(self, *shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=self._generator)


def recorded_segments(dataset: TrainingSet, device: torch.device) -> Batch:
    """The first minute of a timeline as it was recorded: nothing added, always the same."""
    segments = min(len(dataset.content) // SEGMENT_ROWS, _LARGEST_VALIDATION_SEGMENTS)
    rows, frames = segments * SEGMENT_ROWS, segments * SEGMENT_FRAMES
    f0 = interpolate_unvoiced(dataset.f0_hertz[:frames])
    hop = Geometry(dataset.sample_rate_hertz).hop

    def cut(array: NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(np.array(array)).reshape(segments, SEGMENT_FRAMES, *array.shape[1:])

    voiced = cut(dataset.f0_hertz[:frames] > 0)
    sides = side_features(cut(f0), voiced, cut(dataset.loudness[:frames]))
    content = torch.from_numpy(np.array(dataset.content[:rows])).float()
    content = expand_rows(content.reshape(segments, SEGMENT_ROWS, -1))
    noise = white_noise(0, 0, frames * hop).reshape(segments, -1)
    return Batch(
        features=torch.cat([content, sides], -1).to(device),
        f0_hertz=cut(f0).to(device),
        voiced=voiced.to(device),
        phase_cycles=cut(phase_at_frames(f0).astype(np.float32)).to(device),
        noise=torch.from_numpy(noise).to(device),
        audio=torch.from_numpy(np.array(dataset.audio[: frames * hop])).reshape(segments, -1).to(device),
    )


def _neighbours(dataset: TrainingSet, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """(bank [n, dimension], indices into it [rows, 4]): for each row the nearest by angle outside its own
    clip; -1, for the row itself, where there are fewer."""
    rows = len(dataset.content)
    clips = torch.from_numpy(np.repeat(np.arange(len(dataset.clip_rows) - 1), np.diff(dataset.clip_rows)))
    chosen = np.sort(np.random.default_rng(0).permutation(rows)[:_BANK_ROWS])
    bank = torch.from_numpy(np.ascontiguousarray(dataset.content[chosen]))
    keys = torch.nn.functional.normalize(bank.float()).bfloat16().to(device)
    bank_clips = clips[chosen].to(device)
    nearest = []
    for start in range(0, rows, _QUERY_BLOCK):
        queries = torch.from_numpy(np.ascontiguousarray(dataset.content[start : start + _QUERY_BLOCK]))
        likeness = (queries.to(device).bfloat16() @ keys.T).float()
        own_clip = clips[start : start + _QUERY_BLOCK, None].to(device) == bank_clips
        likeness.masked_fill_(own_clip, -torch.inf)
        found = likeness.topk(min(_NEIGHBOURS, len(chosen)), 1)
        nearest.append(found.indices.masked_fill(found.values.isinf(), -1).cpu())
    return bank, torch.cat(nearest)
