"""Change of sample rate in a stream (soxr), with exact lengths."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import soxr

from rvc.audio.read import open_audio
from rvc.errors import InvalidAudio

SILENCE_PEAK = 1e-4
"""-80 dB of full scale: what never rises above it is silence, dither included."""


def output_frames(frames: int, from_hertz: int, to_hertz: int) -> int:
    """Length at another rate: frames * to / from, rounded half up."""
    return (2 * frames * to_hertz + from_hertz) // (2 * from_hertz)


def resample_blocks(blocks: Iterable[np.ndarray], from_hertz: int, to_hertz: int) -> Iterator[np.ndarray]:
    """Mono float32 blocks at another rate; `output_frames` of their total length in all."""
    if from_hertz == to_hertz:
        yield from blocks
        return
    stream = soxr.ResampleStream(from_hertz, to_hertz, 1, dtype="float32")
    taken = given = 0
    for block in blocks:
        taken += len(block)
        resampled = stream.resample_chunk(block)
        given += len(resampled)
        yield resampled
    last = stream.resample_chunk(np.zeros(0, np.float32), last=True)
    missing = output_frames(taken, from_hertz, to_hertz) - given
    yield np.pad(last[:missing], (0, max(0, missing - len(last))))


def load_audio(path: Path, sample_rate_hertz: int) -> np.ndarray:
    """A whole recording: mono float32 [samples] at the wanted rate.

    Raises `InvalidAudio` (AudioEmpty, AudioUndecodable, AudioTruncated, AudioNotFinite, AudioSilent,
    AudioTooShort) and what `open_audio` raises for files that cannot be opened.
    """
    with open_audio(path) as reader:
        source = MeasuredBlocks(reader.blocks())
        blocks = list(resample_blocks(source, reader.sample_rate_hertz, sample_rate_hertz))
    audio: np.ndarray = np.concatenate(blocks)
    source.require_sound(path.name, sample_rate_hertz, len(audio))
    return audio


class MeasuredBlocks:
    """Blocks as they come from a recording, and what has come so far."""

    def __init__(self, blocks: Iterable[np.ndarray]) -> None:
        self._blocks = blocks
        self.frames = 0
        self.peak = 0.0

    def __iter__(self) -> Iterator[np.ndarray]:
        for block in self._blocks:
            self.frames += len(block)
            self.peak = max(self.peak, float(np.abs(block).max(initial=0.0)))
            yield block

    def require_sound(self, name: str, to_hertz: int, samples: int) -> None:
        """Raise `InvalidAudio` for silence, and for recordings of which no sample is left at another rate."""
        if self.peak <= SILENCE_PEAK:
            raise InvalidAudio(
                f"{name}: silent from beginning to end; check the microphone or the export",
                reason="AudioSilent",
            )
        if samples == 0:
            raise InvalidAudio(
                f"{name}: its {self.frames} samples do not make one at {to_hertz} Hz; record more",
                reason="AudioTooShort",
            )
