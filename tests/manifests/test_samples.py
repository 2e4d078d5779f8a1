"""The samples are what the operator accepts, and a real API server too."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml

from rvc_operator.api.conversion import Conversion
from rvc_operator.api.voicemodel import VoiceModel
from tests.cluster.control_plane import ControlPlane

from .documents import MANIFESTS, ROOT, build

SAMPLES = MANIFESTS / "samples"
CLAIM = yaml.safe_load((SAMPLES / "claim.yaml").read_text())["metadata"]["name"]


def voices() -> list[VoiceModel]:
    return [VoiceModel.from_object(stored) for stored in as_stored("VoiceModel")]


def conversions() -> list[Conversion]:
    return [Conversion.from_object(stored) for stored in as_stored("Conversion")]


def as_stored(kind: str) -> Iterator[dict[str, object]]:
    """The samples of a kind, with what the API server adds."""
    for item in build(SAMPLES):
        if item["kind"] == kind:
            yield item | {"metadata": item["metadata"] | {"namespace": "default", "uid": "0b5f"}}


def test_there_are_a_voice_a_file_and_a_folder() -> None:
    (voice,) = voices()
    assert {conversion.spec.voice_model_ref.name for conversion in conversions()} == {voice.metadata.name}
    assert [conversion.spec.input.prefix is None for conversion in conversions()] == [True, False]


def test_everything_is_on_the_sample_claim() -> None:
    uris = [uri for voice in voices() for uri in (*voice.spec.source_uris, voice.spec.storage.uri)]
    for conversion in conversions():
        uris.append(conversion.spec.input.object or conversion.spec.input.prefix or "")
        uris.append(conversion.spec.output.prefix)
    assert all(uri.startswith(f"pvc://{CLAIM}/") for uri in uris)


@pytest.mark.cluster
def test_a_real_server_takes_everything_and_a_second_apply_changes_nothing(
    control_plane: ControlPlane,
) -> None:
    kubectl = control_plane.kubectl
    kubectl("apply", "-k", str(ROOT / "crds"), "--validate=false")
    kubectl("wait", "crd", "--all", "--for=condition=Established", "--timeout=30s")
    try:
        for folder in ("overlays/local", "samples"):
            kubectl("apply", "-k", str(MANIFESTS / folder))
        kubectl("apply", "-f", str(SAMPLES / "claim.yaml"))
        again = kubectl("apply", "-k", str(SAMPLES)).splitlines()
        assert [line.split()[-1] for line in again] == ["unchanged"] * 3
    finally:
        kubectl("delete", "-k", str(SAMPLES), "--ignore-not-found")
        kubectl("delete", "-f", str(SAMPLES / "claim.yaml"), "--ignore-not-found", "--wait=false")
        kubectl("delete", "-k", str(MANIFESTS / "overlays/local"), "--ignore-not-found", "--wait=false")
