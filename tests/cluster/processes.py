"""Child processes of a cluster: each with a log file, none outliving the process that started it."""

import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from .layout import ClusterError

POLL_SECONDS = 0.05
LOG_LINES_SHOWN = 15


class Processes:
    """The programs of one cluster; to be used from the main thread of a process that lives as long."""

    def __init__(self, logs: Path, environment: Mapping[str, str]) -> None:
        logs.mkdir(parents=True, exist_ok=True)
        self._logs = logs
        self._environment = environment
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: list[str], *, pass_fds: tuple[int, ...] = ()) -> None:
        """Start a program; the kernel ends it when the starting thread ends, however that happens."""
        with (self._logs / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                pass_fds=pass_fds,
            )

    def check(self) -> None:
        """Raise ClusterError when a program has ended by itself."""
        for name, process in self._running.items():
            if process.poll() is not None:
                raise self.ended(name, process.returncode)

    def ended(self, name: str, exit_status: int) -> ClusterError:
        """The error that shows a program's last words."""
        lines = (self._logs / f"{name}.log").read_text(errors="replace").splitlines()
        return ClusterError(f"{name} ended with {exit_status}:\n" + "\n".join(lines[-LOG_LINES_SHOWN:]))

    def wait_until(self, condition: Callable[[], bool], what: str, seconds: float = 180) -> None:
        """Wait for `condition` while every program runs; ClusterError when one ends or the time is over."""
        deadline = time.monotonic() + seconds
        while not condition():
            self.check()
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"{what} is still missing after {seconds:.0f} s; the logs are in {self._logs}"
                )
            time.sleep(POLL_SECONDS)

    def name_of(self, pid: int) -> str | None:
        """The program that runs as `pid`."""
        return next((name for name, process in self._running.items() if process.pid == pid), None)

    def kill(self) -> None:
        """End all programs at once; their data is about to be removed, so nothing is gained by asking."""
        for process in self._running.values():
            process.kill()
        for process in self._running.values():
            process.wait()
