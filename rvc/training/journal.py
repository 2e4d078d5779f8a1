"""The files that tell of a training, in the voice's folder, rewritten at every checkpoint.

    losses.jsonl            one JSON object for each epoch
    losses.png              the same as curves
    sample-epoch-*.wav      held-out recordings in the voice so far: the newest two and the best
    spectrogram.png         such a recording, and the voice saying it
    events.out.tfevents.*   for TensorBoard, on request

All of them follow from the `Course`, which is part of the checkpoints: an attempt that goes on elsewhere
writes the files of the attempts before, too.
"""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path
from typing import Any

import soundfile

from rvc.errors import InvalidConfiguration
from rvc.training.course import Course, Epoch
from rvc.training.plots import draw_losses, draw_spectrograms
from rvc.training.sample import Listening, from_pcm

LOSSES_NAME = "losses.jsonl"
LOSSES_PICTURE_NAME = "losses.png"
SPECTROGRAM_NAME = "spectrogram.png"
_OURS = (LOSSES_NAME, LOSSES_PICTURE_NAME, SPECTROGRAM_NAME, "sample-epoch-*.wav", "events.out.tfevents.*")

log = logging.getLogger(__name__)


def sample_name(epoch: int) -> str:
    """Of the file with the voice of an epoch."""
    return f"sample-epoch-{epoch:06d}.wav"


class Journal:
    """Writes the files; a context manager."""

    def __init__(self, folder: Path, listening: Listening, *, tensor_board: bool) -> None:
        self._folder = folder
        self._listening = listening
        self._draws = importlib.util.find_spec("matplotlib") is not None
        if not self._draws:
            log.warning("no pictures of the training: matplotlib is not installed (rvc-operator[trainer])")
        for pattern in _OURS:
            for old in folder.glob(pattern):
                old.unlink()
        self._events = _event_writer(folder) if tensor_board else None

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        if self._events is not None:
            self._events.close()

    def resume(self, course: Course) -> None:
        """Write what earlier attempts had written."""
        for epoch in course.epochs:
            self.epoch(epoch)
        if course.epochs:
            self.checkpoint(course)

    def epoch(self, epoch: Epoch) -> None:
        """An epoch is over."""
        if self._events is None:
            return
        for group, figures in (("losses", epoch.losses), ("validation", epoch.validation)):
            for name, value in figures.items():
                self._events.add_scalar(f"{group}/{name}", value, epoch.number)
        self._events.flush()

    def checkpoint(self, course: Course) -> None:
        """Write all files anew."""
        (self._folder / LOSSES_NAME).write_text(course.lines())
        rate = self._listening.sample_rate_hertz
        names = {sample_name(number): pcm for number, pcm in course.samples.items()}
        for name, pcm in names.items():
            if not (self._folder / name).exists():
                soundfile.write(self._folder / name, pcm.numpy(), rate, subtype="PCM_16")
        for old in self._folder.glob("sample-epoch-*.wav"):
            if old.name not in names:
                old.unlink()
        if self._draws:
            draw_losses(course.epochs, self._folder / LOSSES_PICTURE_NAME)
            shown = course.published
            if shown is not None and shown.number in course.samples:
                spoken = from_pcm(course.samples[shown.number])
                draw_spectrograms(self._listening.recorded(), spoken, rate, self._folder / SPECTROGRAM_NAME)


def _event_writer(folder: Path) -> Any:
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise InvalidConfiguration(
            "event files for TensorBoard need the package tensorboardX; install rvc-operator[trainer] or "
            "train without tensorBoard",
            reason="PackageMissing",
        ) from error
    return SummaryWriter(str(folder))
