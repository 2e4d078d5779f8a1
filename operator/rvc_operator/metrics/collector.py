"""Gauges of what is there at the moment of a scrape; what is deleted is there no more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from rvc_operator.api.reasons import ConditionType

from .transitions import OTHER, known

Bodies = Iterable[Mapping[str, Any]]


@dataclass(frozen=True)
class Sources:
    """Where the present is read."""

    voices: Callable[[], Bodies]
    conversions: Callable[[], Bodies]
    queue_depth: Callable[[], int]
    """Keys that are due and have no worker yet."""
    seconds_since_listing: Callable[[], float | None]
    seconds_since_heard: Callable[[], Mapping[tuple[str, str], float]]
    """By resource and namespace of a watch (empty for all namespaces)."""


class PresentCollector(Collector):
    """The families of one scrape."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def collect(self) -> Iterable[Metric]:
        """All gauges as they are now."""
        voices = list(self._sources.voices())
        yield _by_reason("voicemodels", "VoiceModels by the condition Ready", voices)
        yield _by_reason(
            "conversions", "Conversions by the condition Ready", list(self._sources.conversions())
        )
        yield _replicas(voices)
        yield _gpu_seconds(voices)
        yield _gpus_held(voices)
        yield GaugeMetricFamily(
            "voice_queue_depth", "Objects that wait for a worker", value=self._sources.queue_depth()
        )
        age = self._sources.seconds_since_listing()
        if age is not None:
            yield GaugeMetricFamily(
                "voice_last_resync_age_seconds", "Age of the newest complete listing", value=age
            )
        heard = GaugeMetricFamily(
            "voice_watch_silence_seconds",
            "Time since a watch last told of an object; where nothing happens, it may be long",
            labels=["resource", "namespace"],
        )
        for watch, seconds in self._sources.seconds_since_heard().items():
            heard.add_metric(watch, seconds)
        yield heard


def _by_reason(name: str, documentation: str, bodies: Bodies) -> Metric:
    family = GaugeMetricFamily(name, documentation, labels=["ready", "reason"])
    for (ready, reason), count in sorted(Counter(map(_state, bodies)).items()):
        family.add_metric([ready, reason], count)
    return family


def _state(body: Mapping[str, Any]) -> tuple[str, str]:
    """Status and reason of the condition Ready; Unknown, Other for an object not answered yet."""
    for one in body.get("status", {}).get("conditions", ()):
        if one["type"] == ConditionType.READY:
            return one["status"], known(one["reason"])
    return "Unknown", OTHER


def _replicas(voices: Bodies) -> Metric:
    family = GaugeMetricFamily("inference_replicas", "Servers of all voices", labels=["state"])
    serving = [body.get("status", {}).get("serving", {}) for body in voices]
    for state, field in (("wanted", "replicas"), ("ready", "readyReplicas")):
        family.add_metric([state], sum(one.get(field, 0) for one in serving))
    return family


def _gpu_seconds(voices: Bodies) -> Metric:
    """Read off status.training, which survives restarts; only voices that held a GPU have a series."""
    family = CounterMetricFamily(
        "training_gpu_seconds",
        "Time that GPUs were held by a voice's training, times their number",
        labels=["namespace", "voice"],
    )
    for body in voices:
        seconds = body.get("status", {}).get("training", {}).get("gpuSeconds", 0)
        if seconds:
            family.add_metric([body["metadata"]["namespace"], body["metadata"]["name"]], seconds)
    return family


def _gpus_held(voices: Bodies) -> Metric:
    training = [body.get("status", {}).get("training", {}) for body in voices]
    held = sum(one.get("gpus", 0) for one in training if "activeSince" in one)
    return GaugeMetricFamily("training_gpus_held", "GPUs that training attempts hold now", value=held)
