"""How much a whole run holds at once."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable

MARGIN_BYTES = 4 << 20
"""Two runs of the same differ by less."""


def most_held(work: Callable[[], object]) -> int:
    """Bytes that Python objects and arrays of numpy took at most while it ran, in all its threads."""
    gc.collect()
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
