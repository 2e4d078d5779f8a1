"""The CRDs on a real API server: defaults, refusals, columns.

The local control plane may be older than CEL (1.25) and than selectable fields (1.31); it drops them, which
is why the operator checks every rule itself (`test_rules`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from crds.generate import FOLDER
from rvc_operator.api.conversion import Conversion
from rvc_operator.api.voicemodel import VoiceModel
from tests.cluster.control_plane import ControlPlane
from tests.cluster.layout import ClusterError

from .objects import conversion, voice
from .test_rules import INVALID

pytestmark = pytest.mark.cluster
NAMESPACE = "api"


@pytest.fixture(scope="module")
def server(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    kubectl = control_plane.kubectl
    kubectl("apply", "-k", str(FOLDER), "--validate=false")
    kubectl("wait", "crd", "--all", "--for=condition=Established", "--timeout=30s")
    kubectl("create", "namespace", NAMESPACE)
    yield control_plane
    kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def send(server: ControlPlane, data: dict[str, Any], name: str) -> dict[str, Any]:
    """Create an object, unseen by kubectl's own validation; what the API server made of it."""
    sent = data | {"metadata": {"name": name, "namespace": NAMESPACE}}
    answer: dict[str, Any] = json.loads(
        server.kubectl("create", "-f", "-", "-o", "json", "--validate=false", stdin=json.dumps(sent))
    )
    return answer


def test_defaults_are_filled_in_as_the_views_do(server: ControlPlane) -> None:
    stored = send(server, voice(), "defaults")
    assert stored["spec"]["training"]["epochs"] == 200
    assert stored["spec"]["serving"]["service"] == {"type": "ClusterIP"}
    assert stored["status"] == {"observedGeneration": -1}
    assert VoiceModel.from_object(stored).spec == VoiceModel.from_object(voice()).spec

    stored = send(server, conversion(), "defaults")
    assert stored["status"] == {"observedGeneration": -1}
    assert Conversion.from_object(stored).spec == Conversion.from_object(conversion()).spec


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (voice(dataset={"uri": "http://voices/recordings/"}), "spec.dataset.uri"),
        (voice(storage=None), "spec.storage: Required value"),
        (voice(training={"architecture": "Heavy"}), 'supported values: "RVC2", "Light"'),
        (voice(training={"epochs": 0}), "spec.training.epochs"),
        (voice(training={"epochs": 10.5}), "spec.training.epochs"),
        (voice(training={"sampleRateHertz": 44100}), "spec.training.sampleRateHertz"),
        (voice(podTemplate={"resources": {"limits": {"cpu": "much"}}}), "spec.podTemplate.resources.limits"),
        (voice(podTemplate={"imagePullSecrets": [{"name": "a"}, {"name": "a"}]}), "Duplicate value"),
        (conversion(voiceModelRef={"name": "Alice"}), "spec.voiceModelRef.name"),
        (conversion(parameters={"protectPercent": 51}), "spec.parameters.protectPercent"),
        (conversion(parallelism=0), "spec.parallelism"),
    ],
)
def test_what_is_not_allowed_is_refused_at_the_door(
    server: ControlPlane, data: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClusterError) as refusal:
        send(server, data, "refused")
    assert message in str(refusal.value)


def test_a_misspelt_field_does_not_reach_the_operator(server: ControlPlane) -> None:
    assert "trainning" not in send(server, voice(trainning={"epochs": 5}), "misspelt")["spec"]


def test_kubectl_get_reads_well(server: ControlPlane) -> None:
    send(server, voice(), "columns")
    send(server, conversion(), "columns")
    since = "2026-11-23T12:00:00Z"
    ready = {
        "type": "Ready",
        "status": "Unknown",
        "reason": "Training",
        "message": "Epoch 9 of 20.",
        "lastTransitionTime": since,
        "observedGeneration": 1,
    }
    patch_status(server, "voice", {"conditions": [ready], "training": {"progressPercentage": 45}})
    files = {"total": 12, "succeeded": 5, "failed": 1, "skipped": 0}
    patch_status(server, "conv", {"conditions": [ready | {"reason": "Converting"}], "files": files})

    header, row = server.kubectl("get", "voices", "columns", "-n", NAMESPACE).splitlines()
    assert header.split() == ["NAME", "READY", "REASON", "PROGRESS", "REPLICAS", "AGE"]
    assert row.split()[:4] == ["columns", "Unknown", "Training", "45"]
    header, row = server.kubectl("get", "conversions", "columns", "-n", NAMESPACE).splitlines()
    assert header.split() == ["NAME", "VOICE", "READY", "REASON", "DONE", "TOTAL", "FAILED", "AGE"]
    assert row.split()[:7] == ["columns", "alice", "Unknown", "Converting", "5", "12", "1"]
    wide = server.kubectl("get", "voices", "columns", "-n", NAMESPACE, "-o", "wide")
    assert "Epoch 9 of 20." in wide
    both = server.kubectl("get", "rvc", "-n", NAMESPACE, "-o", "name").split()
    assert {"voicemodel.voice.rvc.dev/columns", "conversion.voice.rvc.dev/columns"} <= set(both)


@pytest.fixture
def with_rules(server: ControlPlane) -> ControlPlane:
    """The server, if it has kept the CEL rules."""
    kept = server.kubectl.json("get", "crd", "voicemodels.voice.rvc.dev")["spec"]["versions"][0]
    if "x-kubernetes-validations" not in kept["schema"]["openAPIV3Schema"]:
        pytest.skip("this API server is older than CEL rules (1.25); see KUBE_BIN_DIR")
    return server


@pytest.mark.parametrize(("data", "message"), INVALID.values(), ids=INVALID)
def test_rules_are_enforced_at_the_door(with_rules: ControlPlane, data: dict[str, Any], message: str) -> None:
    with pytest.raises(ClusterError) as refusal:
        send(with_rules, data, "broken")
    assert message.partition(": ")[2] in str(refusal.value)


def test_what_a_conversion_does_cannot_be_changed(with_rules: ControlPlane) -> None:
    send(with_rules, conversion(), "immutable")
    change = json.dumps({"spec": {"parameters": {"transposeSemitones": 12}}})
    with pytest.raises(ClusterError, match="parameters must not change"):
        with_rules.kubectl("patch", "conv", "immutable", "-n", NAMESPACE, "--type=merge", "-p", change)


def patch_status(server: ControlPlane, kind: str, status: dict[str, Any]) -> None:
    """Write status as an operator does."""
    server.kubectl(
        "patch", kind, "columns", "-n", NAMESPACE, "--subresource=status", "--type=merge",
        "-p", json.dumps({"status": status}),
    )  # fmt: skip
