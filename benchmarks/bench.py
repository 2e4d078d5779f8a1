"""What all benchmarks share: figures, commands of ours in processes of their own, speech to work on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.rvc2_voice import write_base_models, write_voice
from tests.demo import speech

RVC = Path(sys.executable).parent / "rvc"
THREADS = "2"
TRAINING = ("--architecture", "Light", "--sample-rate", "32000", "--batch-size", "16", "--json")


@dataclass(frozen=True)
class Figure:
    """One measured figure."""

    name: str
    value: float
    unit: str
    command: str
    baseline: float | None = None
    """The same of the plain way, measured in the same run."""
    floor: float | None = None
    """What the work itself would take: its operations at the measured rate of matrix products."""

    @property
    def ratio(self) -> float | None:
        """How many times better than the baseline."""
        return self.baseline / self.value if self.baseline is not None and self.value else None


@dataclass(frozen=True)
class Usage:
    """What one command took."""

    seconds: float
    peak_mebibytes: float
    command: str


class Bench:
    """Recordings, and a voice to convert with, made once for all benchmarks of a run."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.voice = folder, folder / "voice"

    @cached_property
    def training(self) -> Usage:
        """Of the `Light` voice at `voice`, for 4 epochs on two minutes of speech."""
        speech.write_dataset(self.folder / "recordings", self.folder / "held-out", minutes=2)
        return self.run("train", str(self.folder / "recordings"), str(self.voice), *TRAINING, "--epochs", "4")

    @cached_property
    def inbox(self) -> Path:
        """Sentences to convert."""
        speech.write_sources(self.folder / "inbox")
        return self.folder / "inbox"

    @cached_property
    def rvc2(self) -> tuple[Path, Path]:
        """Folders of an `RVC2` voice and of the base models that it hears with."""
        voice, base_models = self.folder / "rvc2-voice", self.folder / "base-models"
        write_base_models(base_models)
        write_voice(voice, base_models)
        return voice, base_models

    def run(self, *arguments: str, **environment: str) -> Usage:
        """Run `rvc ARGUMENTS` and measure it."""
        command = [str(RVC), *arguments]
        started = time.monotonic()
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": THREADS} | environment
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
        return Usage(seconds, usage.ru_maxrss / 1024, f"OMP_NUM_THREADS={THREADS} rvc {' '.join(arguments)}")

    def recording(self, seconds: int) -> Path:
        """Speech of that length: the demo's sentences, over and over."""
        path = self.folder / f"{seconds}s.wav"
        parts = [soundfile.read(each, dtype="float32")[0] for each in sorted(self.inbox.rglob("*.wav"))]
        spoken = np.concatenate(parts)
        needed = seconds * speech.RATE_HERTZ
        soundfile.write(path, np.tile(spoken, needed // len(spoken) + 1)[:needed], speech.RATE_HERTZ)
        return path

    def convert(self, seconds: int) -> Usage:
        """Convert a recording of that length with the `Light` voice."""
        _ = self.training
        target = self.folder / f"{seconds}s-converted.wav"
        return self.run(
            "convert", str(self.voice), str(self.recording(seconds)), str(target), "--transpose", "12"
        )

    def convert_rvc2(self, seconds: int) -> Usage:
        """Convert a recording of that length with the `RVC2` voice."""
        voice, base_models = self.rvc2
        target = self.folder / f"{seconds}s-rvc2.wav"
        recording = str(self.recording(seconds))
        return self.run("convert", str(voice), recording, str(target), RVC_BASE_MODELS=str(base_models))
