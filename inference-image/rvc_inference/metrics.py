"""Prometheus metrics of the server, read off worker and voices when they are asked for."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from rvc.contract import ConversionState
from rvc.proof import Guard
from rvc_inference.readiness import ServedVoice
from rvc_inference.results import Outcome
from rvc_inference.voices import Voices
from rvc_inference.worker import Worker


class ServerCollector(Collector):
    """The families of one scrape; no names of objects as labels."""

    def __init__(self, worker: Worker, voices: Voices, served: ServedVoice, guard: Guard) -> None:
        self._worker = worker
        self._voices = voices
        self._served = served
        self._guard = guard

    def collect(self) -> Iterable[Metric]:
        """All metrics as they are now."""
        conversions = GaugeMetricFamily("rvc_conversions", "Conversions on this server", labels=["state"])
        by_state = self._worker.by_state()
        for state in ConversionState:
            conversions.add_metric([state], by_state[state])
        yield conversions
        files = CounterMetricFamily("rvc_conversion_files", "Files that were worked on", labels=["result"])
        for outcome in (Outcome.SUCCEEDED, Outcome.FAILED):
            files.add_metric([outcome], self._worker.files[outcome])
        yield files
        yield CounterMetricFamily(
            "rvc_converted_audio_seconds", "Length of the converted audio", value=self._worker.audio_seconds
        )
        yield CounterMetricFamily(
            "rvc_busy_seconds",
            "Time spent working; its rate is the share of time in which the server was busy",
            value=self._worker.busy_seconds,
        )
        yield GaugeMetricFamily(
            "rvc_voice_load_seconds", "Time the last voice took to load", value=self._voices.last_load_seconds
        )
        yield GaugeMetricFamily(
            "rvc_ready", "Whether the served voice is loaded", value=not self._served.readiness.reason
        )
        refused = CounterMetricFamily(
            "rvc_refused_requests", "Requests without the operator's proof", labels=["reason"]
        )
        for reason, count in sorted(self._guard.refused.items()):
            refused.add_metric([reason], count)
        yield refused


def registry(worker: Worker, voices: Voices, served: ServedVoice, guard: Guard) -> CollectorRegistry:
    """A registry with the server's metrics and no others."""
    result = CollectorRegistry()
    result.register(ServerCollector(worker, voices, served, guard))
    return result
