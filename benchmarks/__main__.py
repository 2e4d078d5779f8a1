"""Run the benchmarks, print a table, write build/bench.json.

Each benchmark runs our own command line in a process of its own, as a person would, so that the figures are
those of the program and its memory is all counted. Figures of a shared machine vary: compare within one run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soundfile

from tests.demo import speech

ROOT = Path(__file__).resolve().parent.parent
RVC = Path(sys.executable).parent / "rvc"
THREADS = "2"


@dataclass(frozen=True)
class Figure:
    """One measured figure."""

    name: str
    value: float
    unit: str
    command: str


@dataclass(frozen=True)
class Usage:
    """What one command took."""

    seconds: float
    peak_mebibytes: float
    command: str


class Bench:
    """Recordings, and a voice to convert with, made once for all benchmarks of a run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        speech.write_dataset(folder / "recordings", folder / "held-out", minutes=2)
        speech.write_sources(folder / "inbox")
        self.voice = folder / "voice"
        self.training = self.run(
            "train", str(folder / "recordings"), str(self.voice), *TRAINING, "--epochs", "4"
        )

    def run(self, *arguments: str) -> Usage:
        """Run `rvc ARGUMENTS` and measure it."""
        command = [str(RVC), *arguments]
        started = time.monotonic()
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": THREADS}
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
        parts = [
            soundfile.read(each, dtype="float32")[0]
            for each in sorted((self.folder / "inbox").rglob("*.wav"))
        ]
        spoken = np.concatenate(parts)
        needed = seconds * speech.RATE_HERTZ
        soundfile.write(path, np.tile(spoken, needed // len(spoken) + 1)[:needed], speech.RATE_HERTZ)
        return path

    def convert(self, seconds: int) -> Usage:
        """Convert a recording of that length."""
        target = self.folder / f"{seconds}s-converted.wav"
        return self.run(
            "convert", str(self.voice), str(self.recording(seconds)), str(target), "--transpose", "12"
        )


TRAINING = ("--architecture", "Light", "--sample-rate", "32000", "--batch-size", "16", "--json")


def train_cpu_light(bench: Bench) -> Iterator[Figure]:
    """Training with everything around it, on two minutes of speech."""
    longer = bench.run(
        "train", str(bench.folder / "recordings"), str(bench.folder / "longer"), *TRAINING, "--epochs", "12"
    )
    per_epoch = (longer.seconds - bench.training.seconds) / 8
    command = longer.command
    yield Figure(
        "train-cpu-light-epoch-of-2-minutes", per_epoch, "s", f"{command} (less the same with 4 epochs)"
    )
    yield Figure("train-cpu-light-memory", longer.peak_mebibytes, "MiB", command)


def convert_cpu_light(bench: Bench) -> Iterator[Figure]:
    """Conversion of 10 s and 5 min, and what a start of the program costs of it."""
    short, long = bench.convert(10), bench.convert(300)
    yield Figure("convert-cpu-light-10s", short.seconds, "s", short.command)
    yield Figure("convert-cpu-light-5min", long.seconds, "s", long.command)
    factor = (long.seconds - short.seconds) / 290
    yield Figure("convert-cpu-light", factor, "s per s", f"({long.command}) less the same with 10 s")


def convert_cpu_light_memory(bench: Bench) -> Iterator[Figure]:
    """Peak memory of a 30-minute file above that of a 10-second one."""
    short, long = bench.convert(10), bench.convert(1800)
    yield Figure("convert-cpu-light-memory-10s", short.peak_mebibytes, "MiB", short.command)
    yield Figure("convert-cpu-light-memory-30min", long.peak_mebibytes, "MiB", long.command)


BENCHMARKS: dict[str, Callable[[Bench], Iterator[Figure]]] = {
    "train-cpu-light": train_cpu_light,
    "convert-cpu-light": convert_cpu_light,
    "convert-cpu-light-memory": convert_cpu_light_memory,
}


def main() -> None:
    """Run all benchmarks, or one."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--only", choices=BENCHMARKS)
    only = parser.parse_args().only
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        for name in [only] if only else BENCHMARKS:
            for figure in BENCHMARKS[name](bench):
                command = figure.command.replace(folder, "DATA")
                figures.append(asdict(figure) | {"command": command})
                print(f"{figure.name:40} {figure.value:10.3f} {figure.unit:8} {command}", flush=True)
    target = ROOT / "build" / "bench.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(figures, indent=1))
    print(f"written to {target.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
