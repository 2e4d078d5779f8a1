"""Counters and histograms of what the operator did since it started.

Labels are words of ours: kinds, verbs, status codes and declared reasons, never names of objects.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics

from rvc_operator.api.conversion import ConversionStatus
from rvc_operator.api.voicemodel import VoiceModelStatus

from .transitions import attempt_outcome, conversion_outcome

RECONCILE_BUCKETS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
CONVERSION_BUCKETS = (3.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 4 * 3600.0, 24 * 3600.0)
NO_ANSWER = "none"
"""Label `code` of a request that got no answer."""

# For each counter a second series with its time of birth would double what is stored, and nobody asks for it.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Meters:
    """Everything that is counted, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._reconciles = Counter(
            "voice_reconcile", "Looks at an object, by how they went", ["kind", "result"], registry=registry
        )
        self._seconds = Histogram(
            "voice_reconcile_seconds",
            "Time that a look at an object took",
            ["kind"],
            buckets=RECONCILE_BUCKETS,
            registry=registry,
        )
        self._errors = Counter(
            "voice_reconcile_errors",
            "Looks that failed, each of which is repeated after a back-off, by why",
            ["kind", "reason"],
            registry=registry,
        )
        self._requests = Counter(
            "voice_api_requests",
            "Requests to the API server beside the watches, by method and answer",
            ["verb", "code"],
            registry=registry,
        )
        self._attempts = Counter(
            "training_attempts", "Training attempts that ended, by how", ["outcome"], registry=registry
        )
        self._finished = Counter(
            "conversions_finished", "Conversions that ended, by how", ["outcome"], registry=registry
        )
        self._files = Counter(
            "conversion_files", "Files of Conversions that ended", ["result"], registry=registry
        )
        self._duration = Histogram(
            "conversion_duration_seconds",
            "Time from the first dispatch of a Conversion to its end",
            buckets=CONVERSION_BUCKETS,
            registry=registry,
        )

    def reconciled(self, kind: str, seconds: float, error: Exception | None = None) -> None:
        """A look at an object of a kind came to its end."""
        self._reconciles.labels(kind, "success" if error is None else "error").inc()
        self._seconds.labels(kind).observe(seconds)
        if error is not None:
            self._errors.labels(kind, type(error).__name__).inc()

    def requested(self, verb: str, code: int | None) -> None:
        """The API server answered a request, or did not (None)."""
        self._requests.labels(verb, NO_ANSWER if code is None else str(code)).inc()

    def voice_written(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """The operator wrote the status of a VoiceModel; whole objects, before and after."""
        outcome = attempt_outcome(
            VoiceModelStatus.from_object(dict(before)), VoiceModelStatus.from_object(dict(after))
        )
        if outcome:
            self._attempts.labels(outcome).inc()

    def conversion_written(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """The operator wrote the status of a Conversion; whole objects, before and after."""
        status = ConversionStatus.from_object(dict(after))
        outcome = conversion_outcome(ConversionStatus.from_object(dict(before)), status)
        if not outcome:
            return
        self._finished.labels(outcome).inc()
        for result in ("succeeded", "failed", "skipped"):
            self._files.labels(result).inc(getattr(status.files, result))
        if status.start_time is not None and status.completion_time is not None:
            self._duration.observe((status.completion_time - status.start_time).total_seconds())
