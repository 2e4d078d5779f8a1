"""What every program of ours does first in a pod: one JSON object per log line, and no more threads than CPU.

A container sees all CPUs of its node, whatever its limit says. Numerical libraries start a thread for each of
them when they are imported, and a pod limited to two CPUs on a 64-core node then spends its quota on waiting.
So this module imports none of those libraries, and `limit_threads` comes before the first import of one.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import MutableMapping
from datetime import UTC, datetime
from pathlib import Path

PORT_VARIABLE = "RVC_PORT"
"""Environment variable with a port other than the contract's, 0 for any free one; for several on one machine.
"""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


def cpu_limit(cgroup: Path = Path("/sys/fs/cgroup")) -> float | None:
    """CPUs that the control group allows (version 2, then version 1), None for no limit."""
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except FileNotFoundError:
        pass
    try:
        microseconds = int((cgroup / "cpu" / "cpu.cfs_quota_us").read_text())
        period_microseconds = int((cgroup / "cpu" / "cpu.cfs_period_us").read_text())
        return None if microseconds < 0 else microseconds / period_microseconds
    except FileNotFoundError:
        return None


def limit_threads(
    environment: MutableMapping[str, str] = os.environ, cgroup: Path = Path("/sys/fs/cgroup")
) -> int:
    """Tell numerical libraries not yet imported how many threads to use, and return that number.

    A number that the environment already holds is left as it is.
    """
    processors = len(os.sched_getaffinity(0))
    limit = cpu_limit(cgroup)
    threads = processors if limit is None else min(processors, max(1, round(limit)))
    for variable in THREAD_VARIABLES:
        environment.setdefault(variable, str(threads))
    # Threads that wait for each other must not spin: with anything else on the CPUs (here a step of training
    # took 0.45 s instead of 1.8 s) most of the time would go into waiting.
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    return int(environment["OMP_NUM_THREADS"])


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, message, the fields given to `event`, the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Text of one log line, without the line's end."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def log_as_json(*programs: str) -> None:
    """Send the log of this process to standard output, one JSON object per line.

    Libraries speak when something is wrong; the core and `programs` (names of packages) tell what they do.
    """
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for name in ("rvc", *programs):
        logging.getLogger(name).setLevel(logging.INFO)


def event(log: logging.Logger, message: str, *, level: int = logging.INFO, **fields: object) -> None:
    """Log something that happened, with named figures beside the message."""
    log.log(level, message, extra={"fields": fields})
