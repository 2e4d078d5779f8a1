"""Reading objects: what is absent, unknown, malformed, or changed behind the back of an old API server."""

from __future__ import annotations

from typing import Any

import pytest

from rvc_operator.api.conversion import Conversion, ConversionStatus
from rvc_operator.api.rules import InvalidSpec, to_object
from rvc_operator.api.voicemodel import VoiceModel, VoiceModelStatus

from .objects import conversion, voice


def test_an_object_of_a_newer_schema_can_be_read() -> None:
    data = voice(novelty={"a": 1}, training={"novelty": 2})
    data["status"] = {"training": {"stage": "Meditating"}, "novelty": 3}
    assert VoiceModel.from_object(data).status.training.stage == "Meditating"


def test_status_can_be_read_beside_an_invalid_spec() -> None:
    data = voice(dataset=None) | {"status": {"observedGeneration": 4}}
    with pytest.raises(InvalidSpec):
        VoiceModel.from_object(data)
    assert VoiceModelStatus.from_object(data).observed_generation == 4
    assert ConversionStatus.from_object(conversion()).observed_generation == -1


@pytest.mark.parametrize(
    ("data", "path"),
    [
        (voice(dataset={"uri": "s3://bucket/recordings/"}), "spec.dataset.uri"),
        (voice(dataset={"uri": "pvc://voices"}), "spec.dataset.uri"),
        (voice(dataset={}), "spec.dataset"),
        (voice(storage=None), "spec"),
        (voice(training={"epochs": 0}), "spec.training.epochs"),
        (voice(training={"epochs": 1.5}), "spec.training.epochs"),
        (voice(training={"architecture": "Heavy"}), "spec.training.architecture"),
        (voice(training={"sampleRateHertz": 44100}), "spec.training.sampleRateHertz"),
        (voice(accelerator={"count": 17}), "spec.accelerator.count"),
        (voice(podTemplate={"tolerations": [{"effect": "Never"}]}), "spec.podTemplate.tolerations[0].effect"),
        (voice(podTemplate={"resources": {"requests": {"cpu": "much"}}}), "spec.podTemplate.resources"),
        (conversion(parameters={"transposeSemitones": 37}), "spec.parameters.transposeSemitones"),
        (conversion(output={"prefix": "pvc://v/a/", "format": "AIFF"}), "spec.output.format"),
    ],
)
def test_what_the_schema_forbids_is_refused_by_its_path(data: dict[str, Any], path: str) -> None:
    kind = VoiceModel if data["kind"] == "VoiceModel" else Conversion
    with pytest.raises(InvalidSpec) as caught:
        kind.from_object(data)
    assert caught.value.path.startswith(path)


@pytest.mark.parametrize("quantity", ["500m", "1.5", "64Gi", "4k", 8])
def test_quantities(quantity: str | int) -> None:
    data = voice(podTemplate={"resources": {"requests": {"cpu": quantity}}})
    assert VoiceModel.from_object(data).spec.pod_template.resources.requests == {"cpu": quantity}


def test_a_published_voice_cannot_move() -> None:
    data = voice(storage={"uri": "pvc://voices/elsewhere/"})
    data["status"] = {
        "artifact": {
            "uri": "pvc://voices/models/default/alice/0123456789/",
            "manifestDigest": "sha256:" + 64 * "0",
        }
    }
    with pytest.raises(InvalidSpec, match=r"spec\.storage\.uri: uri must not change"):
        VoiceModel.from_object(data)


def test_a_conversion_cannot_change_after_its_first_dispatch() -> None:
    digest = Conversion.from_object(conversion()).spec.request_digest
    same = conversion(suspend=True, parameters={"filterRadius": 3}) | {"status": {"requestDigest": digest}}
    assert Conversion.from_object(same).spec.suspend
    other = conversion(parameters={"filterRadius": 4}) | {"status": {"requestDigest": digest}}
    with pytest.raises(InvalidSpec, match="must not change"):
        Conversion.from_object(other)


def test_the_request_digest_outlives_new_releases() -> None:
    """Golden: were it to change, every Conversion under way during an upgrade would be refused."""
    assert Conversion.from_object(conversion()).spec.request_digest == (
        "sha256:e9c6cd14025c3618c4947adfa7edec2ece065870aecbe4cac224f54c274cfca3"
    )


def test_absent_values_are_not_written() -> None:
    written = to_object(VoiceModel.from_object(voice()).status)
    assert written["observedGeneration"] == -1
    assert written["training"]["epoch"] == 0
    assert "artifact" not in written
    assert "jobName" not in written["training"]
