"""All checks of all files in a folder, and what they found as a table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path

from rvc.errors import ObjectNotFound
from rvc.parity import community, content, conversion, pitch, preparation, synthesizers, training
from rvc.parity.findings import Check, Deviation, Finding

_FOLDERS = ("data", "models")
_CONCEPTS: tuple[Mapping[str, Check], ...] = tuple(
    module.CHECKS for module in (synthesizers, training, preparation, content, pitch, conversion, community)
)


class Verdict(StrEnum):
    """What a row of the table comes to."""

    PASSED = "passed"
    MISSED = "MISSED"
    DIFFERENT = "different on purpose"


@dataclass(frozen=True)
class Row:
    """One quantity of one file."""

    file: str
    """Relative to the folder."""
    quantity: str
    difference: float | None
    """None where nothing was compared; `reason` says why."""
    tolerance: float | None
    verdict: Verdict
    reason: str = ""


def run_parity(folder: Path, concepts: Sequence[Mapping[str, Check]] = _CONCEPTS) -> Iterator[list[Row]]:
    """Check a folder file by file; the rows of each as it is done.

    Args:
        folder: with `data/` or `models/` in it; raises ObjectNotFound where there are no files.
        concepts: for each, checks by the glob of their files' names; the first that fits is taken.

    A check that fails is a row, whatever it fails of.
    """
    files = [path for part in _FOLDERS for path in sorted((folder / part).glob("*")) if _is_fixture(path)]
    if not files:
        raise ObjectNotFound(f"{folder} holds no fixtures; name a folder with data/ and models/ in it")
    for path in files:
        checks = [check for concept in concepts for check in _first_fitting(concept, path.name)]
        yield list(_rows(path.relative_to(folder).as_posix(), path, checks))


def table(rows: Iterable[Row]) -> list[str]:
    """Lines for people: the header, a line for each row, the sum of it all."""
    rows = list(rows)
    cells = [("file", "quantity", "difference", "tolerance", "verdict")]
    cells += [
        (row.file, row.quantity, _number(row.difference), _number(row.tolerance), _verdict(row))
        for row in rows
    ]
    widths = [max(len(line[column]) for line in cells) for column in range(4)]
    lines = [
        f"{line[0]:<{widths[0]}}  {line[1]:<{widths[1]}}  {line[2]:>{widths[2]}}  {line[3]:>{widths[3]}}  "
        f"{line[4]}"
        for line in cells
    ]
    return [*lines, summary(rows)]


def summary(rows: Iterable[Row]) -> str:
    """How many files and quantities passed, were missed, and differ on purpose."""
    rows = list(rows)
    files, missed = {row.file for row in rows}, {row.file for row in rows if row.verdict is Verdict.MISSED}
    counts = {verdict: sum(row.verdict is verdict for row in rows) for verdict in Verdict}
    return (
        f"{len(files) - len(missed)} of {len(files)} files passed; {counts[Verdict.PASSED]} quantities are "
        f"equal, {counts[Verdict.DIFFERENT]} different on purpose, {counts[Verdict.MISSED]} missed"
    )


def finite(value: float | None) -> float | None:
    """The value as JSON can say it."""
    return value if value is not None and math.isfinite(value) else None


def _is_fixture(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".")


def _first_fitting(concept: Mapping[str, Check], name: str) -> list[Check]:
    return [check for glob, check in concept.items() if fnmatchcase(name, glob)][:1]


def _rows(file: str, path: Path, checks: Sequence[Check]) -> Iterator[Row]:
    if not checks:
        yield _miss(file, "file", "no check knows a file of this name")
    for check in checks:
        found = False
        try:
            for finding in check(path):
                found = True
                yield _row(file, finding)
        except Exception as error:
            yield _miss(file, "check", f"{type(error).__name__}: {' '.join(str(error).split())}")
        else:
            if not found:
                yield _miss(file, "check", "nothing in it was compared")


def _row(file: str, finding: Finding | Deviation) -> Row:
    if isinstance(finding, Deviation):
        return Row(file, finding.name, None, None, Verdict.DIFFERENT, finding.reason)
    verdict = Verdict.PASSED if finding.passed else Verdict.MISSED
    return Row(file, finding.name, finding.difference, finding.tolerance, verdict)


def _miss(file: str, quantity: str, reason: str) -> Row:
    return Row(file, quantity, None, None, Verdict.MISSED, reason)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _verdict(row: Row) -> str:
    return f"{row.verdict}: {row.reason}" if row.reason else row.verdict
