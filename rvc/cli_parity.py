"""What `rvc parity FOLDER` does; `rvc.cli` says how it is written."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from rvc.base_models import default_folder
from rvc.base_models.fetch import fetch_base_models
from rvc.cli_voices import print_result
from rvc.errors import RvcError
from rvc.parity.pitch import NEURAL_FILES, trained_networks
from rvc.parity.runner import Row, Verdict, finite, run_parity, summary, table


def parity(chosen: argparse.Namespace) -> None:
    """Check every fixture in a folder; ends with exit code 1 where anything is missed.

    Trained networks that fixtures were made with are downloaded first, where they are missing.
    """
    _fetch_trained_networks(chosen.folder)
    rows: list[Row] = []
    with _errors_alone():
        for found in run_parity(chosen.folder):
            rows += found
            missed = any(row.verdict is Verdict.MISSED for row in found)
            tqdm.write(f"{found[0].file}: {Verdict.MISSED if missed else Verdict.PASSED}", file=sys.stderr)
    shown = [
        asdict(row) | {"difference": finite(row.difference), "tolerance": finite(row.tolerance)}
        for row in rows
    ]
    passed = all(row.verdict is not Verdict.MISSED for row in rows)
    print_result({"passed": passed, "rows": shown}, table(rows), chosen)
    if not passed:
        raise RvcError(f"{chosen.folder} does not pass: {summary(rows)}", reason="ParityMissed")


def _fetch_trained_networks(folder: Path) -> None:
    paths = sorted((folder / "data").glob(NEURAL_FILES))
    names = dict.fromkeys(name for path in paths for name in trained_networks(path))
    try:
        fetch_base_models(default_folder(), lambda line: tqdm.write(line, file=sys.stderr), list(names))
    except RvcError as error:
        # What they are needed for is missed then, and its row says how to bring them.
        tqdm.write(str(error), file=sys.stderr)


@contextmanager
def _errors_alone() -> Iterator[None]:
    """No warnings from the log: of bad fixtures their rows tell."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
