"""Run the benchmarks, print a table, write build/bench.json.

Benchmarks of commands run each in a process of its own, as a person would, so that the figures are those of
the program and its memory is all counted; those of networks compare with the plain way in one process.
Figures of a shared machine vary: compare within one run.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from benchmarks.bench import Bench, Figure
from benchmarks.index import index, index_million
from benchmarks.light import convert_cpu_light, convert_cpu_light_memory, train_cpu_light
from benchmarks.network import convert_cpu_rvc2_network
from benchmarks.operator_scale import operator_scale
from benchmarks.rvc2 import convert_cpu_rvc2, convert_cpu_rvc2_memory
from benchmarks.server import server_ready, server_small_files
from benchmarks.start_up import start_up

ROOT = Path(__file__).resolve().parent.parent

BENCHMARKS: dict[str, Callable[[Bench], Iterator[Figure]]] = {
    "start-up": start_up,
    "server-ready": server_ready,
    "server-small-files": server_small_files,
    "convert-cpu-rvc2-network": convert_cpu_rvc2_network,
    "convert-cpu-rvc2": convert_cpu_rvc2,
    "convert-cpu-rvc2-memory": convert_cpu_rvc2_memory,
    "train-cpu-light": train_cpu_light,
    "convert-cpu-light": convert_cpu_light,
    "convert-cpu-light-memory": convert_cpu_light_memory,
    "index": index,
    "index-million": index_million,
    "operator-scale": operator_scale,
}
ON_REQUEST = ("convert-cpu-rvc2-memory", "index-million", "operator-scale")
"""Those that take long; `ONLY` names them."""


def line_of(figure: Figure, command: str) -> str:
    """A row of the table."""
    others = (figure.baseline, figure.ratio, figure.floor)
    shown = "".join(f"{'-' if other is None else format(other, '.3f'):>10}" for other in others)
    return f"{figure.name:40} {figure.value:10.3f} {figure.unit:8}{shown}  {command}"


def main() -> None:
    """Run all benchmarks, or one."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--only", choices=BENCHMARKS)
    only = parser.parse_args().only
    figures = []
    print(f"{'':40} {'value':>10} {'unit':8}{'baseline':>10}{'ratio':>10}{'floor':>10}  command")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        for name in [only] if only else (name for name in BENCHMARKS if name not in ON_REQUEST):
            for figure in BENCHMARKS[name](bench):
                command = figure.command.replace(folder, "DATA")
                figures.append(asdict(figure) | {"command": command, "ratio": figure.ratio})
                print(line_of(figure, command), flush=True)
    target = ROOT / "build" / "bench.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(figures, indent=1))
    print(f"written to {target.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
