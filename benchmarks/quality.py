"""How good voices are that were trained here and now, beside the floors that need no adversary.

Learns a woman's voice from studio prompts, lets it speak sentences of another man and of another woman, and
measures the results with `rvc evaluate`. Everything runs through our own command line, in processes of their
own. `RVC2` takes part where there is a GPU. Writes build/bench-quality.json.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import soundfile
import torch

from tests.demo import speech

ROOT = Path(__file__).resolve().parent.parent
RVC = Path(sys.executable).parent / "rvc"
TARGET = ROOT / "build" / "bench-quality.json"
SENTENCES = (
    "The baker opened his shop before the sun was up and swept the floor.",
    "We spent the afternoon sorting old photographs into three wooden boxes.",
    "A heavy fog rolled over the harbor, so the ferry waited for an hour.",
    "My brother plays the cello every evening, but never on Sundays.",
    "Could you bring me a glass of water and the newspaper from the kitchen?",
    "The judge asked both drivers to describe the accident in their own words.",
    "Fresh snow covered the garden, and the path to the gate had vanished.",
    "He promised to call back as soon as the meeting was over.",
    "Thousands of visitors come to the valley each spring to see the flowers.",
    "The engine coughed twice, then started with a loud roar.",
    "She keeps her grandmother's ring in a small box beside the bed.",
    "Nothing is more pleasant than a quiet walk along the river.",
    "The children built a castle of sand and watched the waves take it.",
    "Our neighbors are painting their house yellow with green shutters.",
    "It takes about forty minutes to reach the airport by bus.",
    "The old clock in the hall has not worked since last winter.",
)
SPEAKERS = {"man": "rms", "woman": "slt"}
"""flite's voices; neither is the speaker to learn."""
COLUMNS = (
    # (heading, figure, the least that is asked for, the most)
    ("to target", "similarityToTarget", 0.89, None),
    ("margin", "margin", 0.33, None),
    ("topline", "toplineMargin", None, None),
    ("CER", "characterErrorRate", None, None),
    ("over source", "addedCharacterErrorRate", None, 0.02),
    ("WER", "wordErrorRate", None, None),
    ("F0 r", "f0Correlation", 0.94, None),
    ("GPE", "grossPitchErrorShare", None, None),
    ("OVRL", "dnsmosOverall", 3.10, None),
    ("P.808", "dnsmosP808", 3.75, None),
)
FLOORS = """\
floors, of other sources of the same kind    to target    WER            F0 r          OVRL
  the target's own recordings                0.93         0.00                         3.28
  source unchanged                           0.48-0.59    0.01-0.04      1             3.34-3.48
  WORLD, mean F0 and spectral warp           0.57-0.63    0.03-0.04      0.83-0.99     2.9-3.3
  kNN on Whisper features, WORLD             0.80-0.84    0.03-0.04      0.87-1.0      3.1-3.25
  1 M parameters to WORLD                    0.82-0.89    0.02-0.08      0.89-1.0      3.0-3.2"""


@dataclass(frozen=True)
class Run:
    """One command of ours, as a person would type it."""

    command: str
    seconds: float
    output: Any


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    system: str
    source: str
    figures: dict[str, float]
    not_measured: tuple[str, ...]
    training_seconds: float
    commands: tuple[str, ...]


def run(*arguments: str, threads: int) -> Run:
    """Run `rvc ARGUMENTS --json` and read what it prints."""
    command = [str(RVC), *arguments, "--json"]
    started = time.monotonic()
    done = subprocess.run(
        command, env=os.environ | {"OMP_NUM_THREADS": str(threads)}, stdout=subprocess.PIPE, check=True
    )
    shown = f"OMP_NUM_THREADS={threads} rvc {' '.join(arguments)}"
    return Run(shown, time.monotonic() - started, json.loads(done.stdout))


def write_sources(folder: Path) -> None:
    """Sentences of both speakers, each with its text beside it."""
    for name, voice in SPEAKERS.items():
        (folder / name).mkdir(parents=True)
        for number, sentence in enumerate(SENTENCES):
            audio, rate = speech.synthetic(sentence, folder, voice)
            soundfile.write(folder / name / f"{number}.wav", audio, rate)
            (folder / name / f"{number}.txt").write_text(sentence)


def measured(system: str, source: str, evaluation: Run, training: Run | None) -> Row:
    """A row of what `rvc evaluate` printed."""
    figures = dict(evaluation.output["means"])
    if "similarityToTarget" in figures:
        figures["margin"] = figures["similarityToTarget"] - figures["similarityToSource"]
        topline = figures["toplineSimilarityToTarget"] - figures["toplineSimilarityToSource"]
        figures["toplineMargin"] = topline
    if "sourceCharacterErrorRate" in figures:
        added = figures["characterErrorRate"] - figures["sourceCharacterErrorRate"]
        figures["addedCharacterErrorRate"] = added
    commands = tuple(one.command for one in (training, evaluation) if one)
    seconds = round(training.seconds, 1) if training else 0.0
    return Row(system, source, figures, tuple(evaluation.output["not_measured"]), seconds, commands)


def bench(folder: Path, chosen: argparse.Namespace) -> list[Row]:
    """Train every voice and measure it."""
    recordings, held_out = folder / "recordings", folder / "held-out"
    speech.write_dataset(recordings, held_out, chosen.minutes)
    sources = chosen.sources or folder / "sources"
    if chosen.sources is None:
        write_sources(sources)
    rows = []
    for architecture, device, epochs in systems(chosen):
        for rate in chosen.rate:
            voice = folder / f"{architecture}-{rate}"
            settings = ("--architecture", architecture, "--sample-rate", str(rate), "--epochs", str(epochs))
            machine = ("--device", device)
            training = run("train", str(recordings), str(voice), *settings, *machine, threads=chosen.threads)
            for name in sorted(each.name for each in sources.iterdir() if each.is_dir()):
                evaluation = run(
                    "evaluate", str(voice), str(sources / name), "--target", str(held_out),
                    "--automatic-transpose", *chosen.options, *machine, threads=chosen.threads,
                )  # fmt: skip
                rows.append(measured(f"{architecture} {rate}", name, evaluation, training))
                print(line_of(rows[-1]), flush=True)
            again = run(
                "evaluate",
                str(voice),
                "--target",
                str(held_out),
                *chosen.options,
                *machine,
                threads=chosen.threads,
            )
            rows.append(measured(f"{architecture} {rate}", "own", again, training))
            print(line_of(rows[-1]), flush=True)
    return rows


def systems(chosen: argparse.Namespace) -> list[tuple[str, str, int]]:
    """(architecture, device, epochs) of the voices to train."""
    light = ("Light", "CPU", chosen.epochs)
    return [light, ("RVC2", "CUDA", chosen.rvc2_epochs)] if torch.cuda.is_available() else [light]


def heading() -> str:
    """Of the table; figures that fall short of what is asked for are marked."""
    return f"{'voice':14} {'source':7}" + "".join(f"{name:>13}" for name, *_ in COLUMNS)


def line_of(row: Row) -> str:
    """A row as text; `-` where a figure was not measured."""
    cells = []
    for _, name, least, most in COLUMNS:
        value = row.figures.get(name)
        if value is None:
            cells.append(f"{'-':>13}")
            continue
        short = row.source != "own" and (
            (least is not None and value < least) or (most is not None and value > most)
        )
        cells.append(f"{value:12.3f}{'!' if short else ' '}")
    return f"{row.system:14} {row.source:7}" + "".join(cells)


def asked_for() -> str:
    """The line of what is asked for."""
    cells = []
    for _, _, least, most in COLUMNS:
        bound = f">= {least:.2f}" if least is not None else f"<= {most:.2f}" if most is not None else ""
        cells.append(f"{bound:>12} ")
    return f"{'asked for':14} {'':7}" + "".join(cells)


def device_name() -> str:
    """What the figures were computed on."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{platform.processor() or platform.machine()}, {os.cpu_count()} processors"


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="make bench-quality")
    parser.add_argument("--minutes", type=float, default=10, help="of recordings to learn from (10)")
    parser.add_argument("--rate", type=int, nargs="+", default=[32000], help="of the voices, Hz (32000)")
    parser.add_argument("--epochs", type=int, default=20, help="of Light (20)")
    parser.add_argument("--rvc2-epochs", type=int, default=100, help="of RVC2, where there is a GPU (100)")
    parser.add_argument("--threads", type=int, default=2, help="of the CPU (2)")
    parser.add_argument(
        "--sources",
        type=Path,
        help="a folder per speaker who is to be converted, with what is said in a .txt beside each recording "
        "(a man and a woman of flite)",
    )
    parser.add_argument("--folder", type=Path, help="keep recordings and voices here")
    parser.add_argument("options", nargs="*", help="after --: options of `rvc evaluate`")
    return parser.parse_args(arguments)


def main() -> None:
    """Print the table, write the figures."""
    chosen = options()
    print(heading(), asked_for(), sep="\n", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        rows = bench(chosen.folder or Path(scratch), chosen)
    print(FLOORS)
    for reason in sorted({reason for row in rows for reason in row.not_measured}):
        print(f"not measured: {reason}")
    for row in rows:
        if row.source == "own":
            print(f"{row.system}: trained in {row.training_seconds:.0f} s")
    TARGET.parent.mkdir(exist_ok=True)
    software = {name: importlib.metadata.version(name) for name in ("torch", "numpy", "rvc-operator")}
    report = {"device": device_name(), "software": software, "rows": [asdict(row) for row in rows]}
    TARGET.write_text(json.dumps(report, indent=1).replace(str(chosen.folder or scratch), "DATA"))
    print(f"written to {TARGET.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
