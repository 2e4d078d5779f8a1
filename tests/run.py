"""`make test`: every suite, two lanes side by side on two cores, then the end-to-end tests on their own.

A suite's output is shown when it ends (and kept in build/tests/), so that lanes do not mix; while one runs, a
line says what is being waited for and how long it usually takes.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOGS = ROOT / "build" / "tests"
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Suite:
    """One command of a lane."""

    name: str
    expected: str
    command: tuple[str, ...]
    needs: tuple[str, ...] = ()
    """Suites of the same lane without which this one makes no sense."""


def pytest(marker: str, workers: int, *places: str) -> tuple[str, ...]:
    """The pytest command for the tests of one marker expression; one worker means no xdist at all."""
    parallel = ("-n", str(workers), "--dist", "loadgroup") if workers > 1 else ()
    return (sys.executable, "-m", "pytest", "-q", "--durations=8", "-m", marker, *parallel, *places)


QUALITY_LANE = (
    Suite("format", "seconds", (str(BIN / "ruff"), "format", "--check", ".")),
    Suite("lint", "seconds", (str(BIN / "ruff"), "check", ".")),
    Suite("types", "under a minute", (str(BIN / "mypy"),)),
    Suite("imports", "seconds", (str(BIN / "lint-imports"),)),
    Suite("unit", "15 to 25 minutes", pytest("not cluster and not node", 2)),
)
CLUSTER_LANE = (
    Suite(
        "binaries",
        "seconds when cached, else 3 to 8 minutes",
        (sys.executable, "-m", "tests.cluster", "binaries"),
    ),
    Suite("cluster", "a few minutes", pytest("cluster", 1, "--ignore=tests/faults"), needs=("binaries",)),
    # On a control plane of their own: they leave it with many watches and connections that were cut.
    Suite("faults", "6 to 10 minutes", pytest("cluster", 1, "tests/faults"), needs=("binaries",)),
    Suite("images", "seconds when cached, else 5 minutes", (sys.executable, "-m", "tests.cluster", "images")),
)
END_TO_END = (Suite("node", "about 8 minutes", pytest("node", 1)),)


class Run:
    """Outcome of the suites so far; prints under a lock so that lanes do not interleave."""

    def __init__(self) -> None:
        self.failed: list[str] = []
        self.counts = {"passed": 0, "failed": 0, "skipped": 0}
        self._lock = threading.Lock()

    def say(self, text: str) -> None:
        with self._lock:
            print(text, flush=True)

    def lane(self, suites: tuple[Suite, ...]) -> None:
        """Run suites in order; one that fails does not stop those that do not need it."""
        for suite in suites:
            if any(need in self.failed for need in suite.needs):
                self.failed.append(suite.name)
                self.say(f"--- {suite.name}: not run, it needs {', '.join(suite.needs)}")
            else:
                self.suite(suite)

    def suite(self, suite: Suite) -> None:
        self.say(f"... {suite.name}: started ({suite.expected})")
        started = time.monotonic()
        log = LOGS / f"{suite.name}.log"
        environment = os.environ | {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "PYTHONPATH": ".:operator:trainer-image:inference-image",
            "OMP_NUM_THREADS": "2",
            # Two lanes share the cores: a thread that spins while it waits takes them from the other lane.
            "OMP_WAIT_POLICY": "PASSIVE",
        }
        with log.open("w") as output:
            code = subprocess.run(
                suite.command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            ).returncode
        text = log.read_text(errors="replace")
        for count, outcome in re.findall(
            r"(\d+) (passed|failed|error|skipped)", text.splitlines()[-1] if text else ""
        ):
            self.counts["failed" if outcome == "error" else outcome] += int(count)
        if code:
            self.failed.append(suite.name)
        verdict = "ok" if code == 0 else f"FAILED (exit code {code})"
        body = text if code else "\n".join(text.splitlines()[-12:])
        self.say(f"{body.rstrip()}\n--- {suite.name}: {verdict} after {time.monotonic() - started:.0f} s\n")


def main() -> int:
    """Run everything; 0 only if every suite passed."""
    LOGS.mkdir(parents=True, exist_ok=True)
    run = Run()
    started = time.monotonic()
    lanes = [threading.Thread(target=run.lane, args=(lane,)) for lane in (QUALITY_LANE, CLUSTER_LANE)]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join()
    run.lane(END_TO_END)
    if run.failed:
        print(f"failed suites: {', '.join(run.failed)}")
    minutes = (time.monotonic() - started) / 60
    print(f"all of it took {minutes:.1f} minutes; logs are in {LOGS.relative_to(ROOT)}")
    counts = run.counts
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return 1 if run.failed else 0


if __name__ == "__main__":
    sys.exit(main())
