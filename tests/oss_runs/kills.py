"""Killing a life after an operation of its store."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from multiprocessing import connection
from multiprocessing.process import BaseProcess

from tests.oss import Operation, OssServer

AT_ONCE = 2
"""Lives; each takes one processor."""
_lock = threading.Lock()
"""Whoever starts a process asks after all others, and of two that ask one is told nonsense."""


def run(server: OssServer, begin: Callable[[], BaseProcess], kill_after: int | None) -> tuple[int, int]:
    """Run a life until it ends, or is killed after so many operations; (exit code, operations).

    SIGKILL comes when the operation has taken effect and is not answered yet.
    """
    before = len(server.operations)
    begun = threading.Event()
    life: list[BaseProcess] = []

    def hook(operation: Operation) -> None:
        if operation.number - before == kill_after:
            begun.wait()
            os.kill(life[0].pid, signal.SIGKILL)

    server.after_operation = hook
    with _lock:
        life.append(begin())
    begun.set()
    connection.wait([life[0].sentinel])
    with _lock:
        life[0].join()
    server.after_operation = None
    return life[0].exitcode, len(server.operations) - before


def for_each(expected: int, check: Callable[[int], bool]) -> None:
    """Check 1, 2, 3 and so on, some at once: as many as are expected, and more until one says that nobody
    was left to be killed, for two lives do not always take the same number of operations. Raises the first
    failure.
    """
    with ThreadPoolExecutor(AT_ONCE) as threads:
        try:
            list(threads.map(check, range(1, expected + 1)))
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise
    next(number for number in count(expected + 1) if not check(number))
