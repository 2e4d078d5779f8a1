"""`Light` as a person runs it: training, conversion, memory."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.bench import TRAINING, Bench, Figure


def train_cpu_light(bench: Bench) -> Iterator[Figure]:
    """Training with everything around it, on two minutes of speech."""
    shorter = bench.training
    longer = bench.run(
        "train", str(bench.folder / "recordings"), str(bench.folder / "longer"), *TRAINING, "--epochs", "12"
    )
    per_epoch = (longer.seconds - shorter.seconds) / 8
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
    """Peak memory of a 60-minute file above that of a 10-second one."""
    short, long = bench.convert(10), bench.convert(3600)
    yield Figure("convert-cpu-light-memory-10s", short.peak_mebibytes, "MiB", short.command)
    yield Figure("convert-cpu-light-memory-60min", long.peak_mebibytes, "MiB", long.command)
