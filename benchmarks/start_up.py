"""How long programs take until they can begin to work."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

from benchmarks.bench import Bench, Figure

_REPEATS = 3
_MODULES = {
    "start-up-operator-import": "rvc_operator.main",
    "start-up-server-import": "rvc_inference.app",
    "start-up-cli-import": "rvc.cli",
}


def start_up(bench: Bench) -> Iterator[Figure]:
    """The interpreter's start and the imports of each program, files in the page cache."""
    for name, module in _MODULES.items():
        command = [sys.executable, "-c", f"import {module}"]
        seconds = []
        for _ in range(_REPEATS):
            started = time.monotonic()
            subprocess.run(command, env=os.environ, check=True)
            seconds.append(time.monotonic() - started)
        yield Figure(name, min(seconds), "s", f"python -c 'import {module}'")
