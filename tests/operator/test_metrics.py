"""What Prometheus is told: read off statuses, counted once, gone with its object."""

from datetime import timedelta
from typing import Any
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from rvc.contract import TrainingResult, encode
from rvc_operator.metrics.collector import PresentCollector, Sources
from rvc_operator.metrics.meters import Meters
from rvc_operator.runtime.cache import Kind

from .factory import NOW, moment
from .kubelet import Exit
from .manifests import conversion_spec, voice_spec
from .world import World

Body = dict[str, Any]


def voice(reason: str = "Training", ready: str = "Unknown", **training: Any) -> Body:
    conditions = [
        {"type": "Ready", "status": ready, "reason": reason, "message": "", "lastTransitionTime": moment(NOW)}
    ]
    return {
        "metadata": {"name": "alice", "namespace": "test"},
        "status": {"conditions": conditions, "training": {"revision": "a", "attempt": 1} | training},
    }


def failure(reason: str) -> Body:
    return {"reason": reason, "message": "", "time": moment(NOW)}


@pytest.mark.parametrize(
    ("before", "after", "outcome"),
    [
        (voice(), voice(epoch=3), ""),
        (voice(), voice("Available", "True", completionTime=moment(NOW)), "Published"),
        (voice(), voice(nextRetryTime=moment(NOW), lastFailure=failure("Disrupted")), "Disrupted"),
        (voice(), voice(completionTime=moment(NOW), lastFailure=failure("OutOfMemory")), "OutOfMemory"),
        (voice(), voice(nextRetryTime=moment(NOW), lastFailure=failure("alice")), "Other"),
        (voice(), voice("Suspended", "False", nextRetryTime=moment(NOW)), "Suspended"),
        (voice(), voice(revision="b", attempt=1), "Superseded"),
        (voice(nextRetryTime=moment(NOW)), voice(attempt=2), ""),
        (voice(completionTime=moment(NOW)), voice(revision="b", attempt=1), ""),
    ],
)
def test_an_attempt_is_counted_when_its_end_is_written(before: Body, after: Body, outcome: str) -> None:
    meters = Meters()
    meters.voice_written(before, after)
    counted = {
        sample.labels["outcome"]: sample.value for sample in samples(meters, "training_attempts_total")
    }
    assert counted == ({outcome: 1.0} if outcome else {})


def test_a_conversion_is_counted_when_its_end_is_written() -> None:
    begun = {"status": {"startTime": moment(NOW)}}
    conditions = voice("PartiallyFailed", "False")["status"]["conditions"]
    ended = {
        "status": {
            "startTime": moment(NOW),
            "completionTime": moment(NOW + timedelta(seconds=90)),
            "files": {"total": 3, "succeeded": 2, "failed": 1},
            "conditions": conditions,
        }
    }
    meters = Meters()
    for before, after in ((begun, begun), (begun, ended), (ended, ended)):
        meters.conversion_written(before, after)
    assert value(meters, "conversions_finished_total", outcome="PartiallyFailed") == 1
    assert value(meters, "conversion_files_total", result="succeeded") == 2
    assert value(meters, "conversion_files_total", result="failed") == 1
    assert value(meters, "conversion_duration_seconds_sum") == 90


def test_requests_and_looks_are_counted_by_how_they_went() -> None:
    meters = Meters()
    meters.requested("PATCH", 409)
    meters.requested("GET", None)
    meters.reconciled("VoiceModel", 0.25)
    meters.reconciled("VoiceModel", 0.5, TimeoutError())
    assert value(meters, "voice_api_requests_total", verb="PATCH", code="409") == 1
    assert value(meters, "voice_api_requests_total", verb="GET", code="none") == 1
    assert value(meters, "voice_reconcile_total", kind="VoiceModel", result="error") == 1
    assert value(meters, "voice_reconcile_errors_total", kind="VoiceModel", reason="TimeoutError") == 1
    assert value(meters, "voice_reconcile_seconds_sum", kind="VoiceModel") == 0.75


def test_gauges_are_those_of_what_is_there() -> None:
    held = {"gpuSeconds": 120, "gpus": 2, "activeSince": moment(NOW)}
    voices = [voice("Available", "True", **held), {"metadata": {"name": "new", "namespace": "test"}}]
    voices[0]["status"]["serving"] = {"replicas": 2, "readyReplicas": 1}
    meters = Meters()
    sources = Sources(
        voices=lambda: voices,
        conversions=lambda: [],
        queue_depth=lambda: 7,
        seconds_since_listing=lambda: None,
        seconds_since_heard=lambda: {("pods", ""): 3.0},
    )
    meters.registry.register(PresentCollector(sources))
    assert value(meters, "voicemodels", ready="True", reason="Available") == 1
    assert value(meters, "voicemodels", ready="Unknown", reason="Other") == 1
    assert value(meters, "inference_replicas", state="wanted") == 2
    assert value(meters, "inference_replicas", state="ready") == 1
    assert value(meters, "training_gpu_seconds_total", namespace="test", voice="alice") == 120
    assert value(meters, "training_gpus_held") == 2
    assert value(meters, "voice_queue_depth") == 7
    assert value(meters, "voice_watch_silence_seconds", resource="pods", namespace="") == 3
    assert samples(meters, "voice_last_resync_age_seconds") == []
    voices.clear()
    assert samples(meters, "training_gpu_seconds_total") == []
    assert samples(meters, "voicemodels") == []


@pytest.mark.cluster
async def test_an_operator_at_work_tells_what_it_did(lone_world: World) -> None:
    world = lone_world
    world.operator.start()
    world.kubelet.script.append(Exit(13, encode(TrainingResult(message="the store is away"))))
    await world.create(Kind.VOICE, "alice", voice_spec())
    await world.create(Kind.CONVERSION, "hello", conversion_spec())
    await world.until_ready(Kind.CONVERSION, "hello", "True", "Converted")

    async def all_counted() -> bool:
        said = scrape(world.operator.metrics_port)
        return {
            'training_attempts_total{outcome="Published"}': 1.0,
            'training_attempts_total{outcome="StoreUnavailable"}': 1.0,
            'conversions_finished_total{outcome="Converted"}': 1.0,
            'conversion_files_total{result="succeeded"}': 1.0,
            'voicemodels{ready="True",reason="Available"}': 1.0,
            'conversions{ready="True",reason="Converted"}': 1.0,
        }.items() <= said.items()

    await world.until("everything is counted once", all_counted)
    said = scrape(world.operator.metrics_port)
    assert said['voice_reconcile_total{kind="VoiceModel",result="success"}'] >= 3
    assert said['voice_api_requests_total{code="201",verb="POST"}'] >= 2
    assert said["voice_last_resync_age_seconds"] >= 0
    assert f'voice_watch_silence_seconds{{namespace="{world.namespace}",resource="jobs"}}' in said
    await world.delete(Kind.CONVERSION, "hello")

    async def forgotten() -> bool:
        return not any(name.startswith("conversions{") for name in scrape(world.operator.metrics_port))

    await world.until("a deleted Conversion has no series", forgotten)


def samples(meters: Meters, name: str) -> list[Any]:
    return [
        sample for family in meters.registry.collect() for sample in family.samples if sample.name == name
    ]


def value(meters: Meters, name: str, **labels: str) -> float | None:
    return meters.registry.get_sample_value(name, labels)


def scrape(port: int) -> dict[str, float]:
    """Every sample by name and labels."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
        return {
            sample.name + _labels(sample.labels): sample.value
            for family in families
            for sample in family.samples
        }


def _labels(labels: dict[str, str]) -> str:
    inside = ",".join(f'{name}="{text}"' for name, text in sorted(labels.items()))
    return f"{{{inside}}}" if inside else ""
