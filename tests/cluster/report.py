"""Messages of long steps, and the quick question whether a host answers that spares a long wait."""

import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

PROBE_SECONDS = 3.0


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


def answers_quickly(url: str) -> bool:
    """Whether a web address answers within PROBE_SECONDS, name look-up included."""
    answered = threading.Event()

    def ask() -> None:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=PROBE_SECONDS):
                answered.set()
        except OSError:
            pass  # it does not answer, which is the result

    # A name look-up knows no timeout, so it waits in a thread that may be left behind.
    prober = threading.Thread(target=ask, daemon=True)
    prober.start()
    prober.join(PROBE_SECONDS)
    return answered.is_set()
