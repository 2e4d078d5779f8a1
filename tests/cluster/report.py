"""Messages of long steps: what happens now, how long it usually takes, how long it took."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


def say(message: str) -> None:
    """Tell the person at the terminal; stdout stays free for results such as a path."""
    print(message, file=sys.stderr, flush=True)


@contextmanager
def step(what: str, expected: str) -> Iterator[None]:
    """Announce a step with its usual duration, and say how long it took once it succeeded."""
    say(f"{what} (about {expected}) ...")
    started = time.monotonic()
    yield
    say(f"{what}: done in {time.monotonic() - started:.1f} s")
