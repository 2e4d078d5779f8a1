"""Where things lie: caches may be deleted at any time, state lives exactly as long as a cluster."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


class ClusterError(Exception):
    """The cluster cannot do what was asked; the message says what is wrong and what to do next."""


def cache_folder() -> Path:
    """Folder of everything that is worth keeping between clusters; made when missing."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "rvc-operator" / "kube"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def state_folder() -> Path:
    """Folder of the one cluster that `python -m tests.cluster up` manages; exists while it runs."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "rvc-operator-cluster"


@contextmanager
def exclusive(name: str) -> Iterator[None]:
    """Let one process at a time fill a part of the cache; the others wait, then find it done."""
    with (cache_folder() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
