"""Batches of pieces of speech: all of a training set in every epoch, in another order each time.

Clips are cut into pieces as the original cuts them. What a step draws (pieces, excerpts, noise) depends on
the seed and the step's number alone, so nothing has to be remembered to go on with a training. The last batch
of an epoch is filled up with pieces from its beginning; no piece is left out, however short.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.utils.rnn import pad_sequence

from rvc.architectures.interface import FRAMES_PER_ROW, ROWS_PER_SECOND, TrainingSet
from rvc.dataset.pieces import even_loudness, piece_bounds
from rvc.pitch.quantise import pitch_bins
from rvc.rvc2.geometry import Geometry
from rvc.rvc2.network import Features, slices
from rvc.rvc2.spectrogram import Spectrograms

_ORDER_STREAM, _STEP_STREAM = 0, 1


@dataclass(frozen=True)
class Piece:
    """Continuous speech of one speaker, up to four seconds."""

    first_row: int
    rows: int
    speaker: int
    gain: float
    """What it is multiplied by, so that all pieces are about as loud."""

    @property
    def frames(self) -> int:
        """Its length."""
        return self.rows * FRAMES_PER_ROW


@dataclass(frozen=True)
class Batch:
    """Inputs of a training pass, and the recordings that it should sound like."""

    features: Features
    spectrogram: torch.Tensor
    """[batch, bins, frames], linear magnitudes."""
    recorded: torch.Tensor
    """[batch, 1, segment frames * hop]: the excerpts."""
    slice_frames: torch.Tensor
    """[batch]: where they begin."""
    posterior_noise: torch.Tensor
    """[batch, inter channels, frames]."""
    source_noise: torch.Tensor
    """[batch, segment frames * hop]."""


@dataclass(frozen=True)
class Draw:
    """What a step learns from, before it is brought together; the same in all processes."""

    pieces: list[Piece]
    slice_frames: torch.Tensor
    posterior_noise: torch.Tensor
    source_noise: torch.Tensor

    @property
    def frames(self) -> int:
        """Of all pieces together."""
        return sum(piece.frames for piece in self.pieces)

    def part(self, items: slice) -> Draw:
        """Some of its pieces."""
        return Draw(
            self.pieces[items],
            self.slice_frames[items],
            self.posterior_noise[items],
            self.source_noise[items],
        )


class Batches:
    """Draws from a training set."""

    def __init__(
        self,
        dataset: TrainingSet,
        geometry: Geometry,
        segment_frames: int,
        batch_size: int,
        seed: int,
        device: torch.device,
    ) -> None:
        self._geometry, self._segment_frames = geometry, segment_frames
        self._batch_size, self._seed = batch_size, seed
        self._timeline = Timeline(dataset, geometry, device)
        self._pieces = pieces_of(dataset)
        self.steps_per_epoch = -(-len(self._pieces) // batch_size)

    def draw(self, step: int) -> Draw:
        """Pieces, excerpts and noise of a step, counted from 0."""
        epoch, position = divmod(step, self.steps_per_epoch)
        order = torch.randperm(len(self._pieces), generator=self._generator(_ORDER_STREAM, epoch)).tolist()
        chosen = [order[(position * self._batch_size + i) % len(order)] for i in range(self._batch_size)]
        pieces = [self._pieces[i] for i in chosen]
        generator = self._generator(_STEP_STREAM, step)
        # A piece shorter than an excerpt is followed by silence.
        room = torch.tensor([max(piece.frames - self._segment_frames, 0) for piece in pieces])
        starts = (torch.rand(len(pieces), generator=generator) * (room + 1)).long().minimum(room)
        frames = max(self._segment_frames, *(piece.frames for piece in pieces))
        samples = self._segment_frames * self._geometry.hop
        channels = self._geometry.inter_channels
        return Draw(
            pieces=pieces,
            slice_frames=starts,
            posterior_noise=torch.randn(len(pieces), channels, frames, generator=generator),
            source_noise=torch.randn(len(pieces), samples, generator=generator),
        )

    def gather(self, draw: Draw, spectrograms: Spectrograms) -> Batch:
        """The batch of a draw, on the device."""
        device, frames = self._timeline.device, draw.posterior_noise.shape[-1]
        features, audio = self._timeline.features(draw.pieces, frames)
        starts, hop = draw.slice_frames.to(device), self._geometry.hop
        spectra = []
        for sound, piece in zip(audio, draw.pieces, strict=True):
            # Of each piece alone, so that it does not matter with which others it comes.
            heard = max(piece.frames, self._segment_frames) * hop
            spectra.append(spectrograms.magnitudes(sound[None, :heard])[0, :, : piece.frames].T)
        return Batch(
            features=features,
            spectrogram=_padded(spectra, frames).transpose(1, 2),
            recorded=slices(audio[:, None], starts * hop, self._segment_frames * hop),
            slice_frames=starts,
            posterior_noise=draw.posterior_noise.to(device),
            source_noise=draw.source_noise.to(device),
        )

    def _generator(self, stream: int, number: int) -> torch.Generator:
        state = np.random.SeedSequence([self._seed % 2**64, stream, number]).generate_state(1, np.uint64)
        return torch.Generator().manual_seed(int(state[0] >> np.uint64(1)))


class Timeline:
    """A training set's features, in the memory of the accelerator where they leave most of it free."""

    _LARGEST_SHARE = 0.2

    def __init__(self, dataset: TrainingSet, geometry: Geometry, device: torch.device) -> None:
        self.device, self._hop = device, geometry.hop
        arrays: list[NDArray[Any]] = [
            dataset.content,
            dataset.f0_hertz,
            pitch_bins(dataset.f0_hertz),
            dataset.audio,
        ]
        self._arrays: list[NDArray[Any] | torch.Tensor] = [*arrays]
        if device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(device)
            if sum(array.nbytes for array in arrays) < self._LARGEST_SHARE * free:
                self._arrays = [torch.from_numpy(np.array(array)).to(device) for array in arrays]

    def features(self, pieces: list[Piece], frames: int) -> tuple[Features, torch.Tensor]:
        """(features, recordings [batch, frames * hop]) of some pieces, with silence after each."""
        content, f0, pitch, audio = self._arrays
        rows = [self._cut(content, piece, 1).float() for piece in pieces]
        sounds = [piece.gain * self._cut(audio, piece, FRAMES_PER_ROW * self._hop) for piece in pieces]
        features = Features(
            content=_padded([row.repeat_interleave(FRAMES_PER_ROW, 0) for row in rows], frames),
            lengths=torch.tensor([piece.frames for piece in pieces], device=self.device),
            speaker=torch.tensor([piece.speaker for piece in pieces], device=self.device),
            pitch=_padded([self._cut(pitch, piece, FRAMES_PER_ROW) for piece in pieces], frames),
            f0_hertz=_padded([self._cut(f0, piece, FRAMES_PER_ROW) for piece in pieces], frames),
        )
        return features, _padded(sounds, frames * self._hop)

    def _cut(self, array: NDArray[Any] | torch.Tensor, piece: Piece, per_row: int) -> torch.Tensor:
        part = array[piece.first_row * per_row : (piece.first_row + piece.rows) * per_row]
        return part if isinstance(part, torch.Tensor) else torch.from_numpy(np.array(part)).to(self.device)


def pieces_of(dataset: TrainingSet) -> list[Piece]:
    """All clips, cut into pieces of up to four seconds."""
    clips = zip(dataset.clip_rows[:-1], dataset.clip_rows[1:], dataset.clip_speakers, strict=True)
    samples_per_row = dataset.sample_rate_hertz // ROWS_PER_SECOND
    pieces = []
    for first, last, speaker in clips:
        for start, end in piece_bounds(int(last - first), ROWS_PER_SECOND):
            bounds = slice((first + start) * samples_per_row, (first + end) * samples_per_row)
            peak = np.abs(dataset.audio[bounds]).max(keepdims=True)
            gain = float(even_loudness(peak)[0] / peak[0]) if peak[0] else 1.0
            pieces.append(Piece(int(first) + start, end - start, int(speaker), gain))
    return pieces


def _padded(items: list[torch.Tensor], length: int) -> torch.Tensor:
    """[batch, length, ...] of [lengths, ...], zeros after each."""
    padded = pad_sequence(items, batch_first=True)
    missing = length - padded.shape[1]
    return torch.nn.functional.pad(padded, (0, 0) * (padded.dim() - 2) + (0, missing)) if missing else padded
