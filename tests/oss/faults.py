"""What goes wrong on demand: which requests are hit, and by what.

Faults are data, so that a test in another process, or one in a cluster, can ask for them as JSON.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from typing import Any


@dataclass(frozen=True)
class Fault:
    """One kind of trouble for some requests."""

    operation: str = "*"
    """Pattern of operations: GetObject, PutObject, UploadPart, ..."""
    key: str = "*"
    """Pattern of keys; of prefixes for listings."""
    after: int = 0
    """So many requests that match pass first."""
    times: float = 1
    """So many are hit then; `math.inf` (in JSON null) for all."""

    latency_seconds: float = 0.0
    """Wait first."""
    status: int = 0
    """Answer with this status and `code`, and do nothing."""
    code: str = ""
    retry_after_seconds: int | None = None
    reset: bool = False
    """Break the connection and do nothing."""
    lose_answer: bool = False
    """Do what was asked for, then break the connection."""
    reset_after_bytes: int | None = None
    """Break the connection (by RST) behind so many bytes of the answer's body."""
    truncate_to_bytes: int | None = None
    """End the body, and the connection in good order, behind so many bytes."""
    content_length_plus: int | None = None
    """Claim so many bytes more, or fewer, than there are, everywhere in the headers."""
    flip_byte: int | None = None
    """Change this byte of the body: of an answer to GET, of what arrives with PUT."""
    wrong_crc64: bool = False
    """Name another checksum than the right one."""
    skew_seconds: float = 0.0
    """The server's clock is so far from the true time, in signatures and in the Date header."""
    expire_token: bool = False
    """The session of the request's key has ended; refuse it as OSS does."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Fault:
        """Raises `TypeError` for a field that there is not."""
        known = {field.name for field in fields(cls)}
        if unknown := set(data) - known:
            raise TypeError(f"a fault has no {', '.join(sorted(unknown))}")
        return cls(
            **{name: math.inf if name == "times" and value is None else value for name, value in data.items()}
        )


NO_FAULT = Fault()


class Plan:
    """The faults that are wanted, and how often each was due. Thread-safe."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._lock = threading.Lock()
        self._entries = [[fault, 0] for fault in faults]

    def add(self, *faults: Fault) -> None:
        """Also these; of several that match a request the first one that is due hits it."""
        with self._lock:
            self._entries += [[fault, 0] for fault in faults]

    def clear(self) -> None:
        """No more faults."""
        with self._lock:
            self._entries.clear()

    def next(self, operation: str, key: str) -> Fault:
        """The fault that hits this request, or `NO_FAULT`."""
        with self._lock:
            hit = NO_FAULT
            for entry in self._entries:
                fault, seen = entry
                if not (fnmatchcase(operation, fault.operation) and fnmatchcase(key, fault.key)):
                    continue
                entry[1] += 1
                if hit is NO_FAULT and fault.after <= seen < fault.after + fault.times:
                    hit = fault
            return hit
