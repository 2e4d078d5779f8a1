"""When to try again: exponential back-off with jitter that is a function of who tries, so that plans stay
pure."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from rvc_operator.api.reasons import Reason

PATIENT = 32
"""Failures that are as good as the longest back-off."""
FOR_PEOPLE = {reason.value: reason for reason in (Reason.PERMISSION_DENIED, Reason.CREDENTIALS_MISSING)}
"""Rights and credentials are mended by people, and people take their time: shown at once, retried late."""
JITTER = 0.2
"""Largest deviation from the nominal delay, either way."""


def retry_time(
    now: datetime, failures: int, base_seconds: float, limit_seconds: float, seed: str
) -> datetime:
    """When the try after the `failures`-th failure is due: base, doubling up to the limit, jittered by
    `seed`."""
    nominal = min(base_seconds * 2 ** min(max(failures - 1, 0), 32), limit_seconds)
    return now + timedelta(seconds=nominal * (1 + JITTER * _deviation(seed)))


def seconds_until(moment: datetime, now: datetime) -> float:
    """Time left until `moment`, 0 when it has passed."""
    return max((moment - now).total_seconds(), 0.0)


def _deviation(seed: str) -> float:
    """A number from -1 to 1 that looks random."""
    first = hashlib.sha256(seed.encode()).digest()[:4]
    return int.from_bytes(first, "big") / 0xFFFFFFFF * 2 - 1
