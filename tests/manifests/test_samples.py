"""Samples and rights: what the operator accepts, and what a real API server makes of the manifests."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import yaml

from rvc_operator.api.conversion import Conversion
from rvc_operator.api.voicemodel import VoiceModel
from tests.cluster.control_plane import ControlPlane
from tests.cluster.layout import ClusterError

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


def test_a_voice_can_be_brought_along() -> None:
    stored = yaml.safe_load((SAMPLES / "import.yaml").read_text())
    voice = VoiceModel.from_object(
        stored | {"metadata": stored["metadata"] | {"namespace": "default", "uid": "1"}}
    )
    assert voice.spec.import_ is not None
    assert all(uri.startswith(f"pvc://{CLAIM}/") for uri in (*voice.spec.source_uris, voice.spec.storage.uri))


def test_everything_is_on_the_sample_claim() -> None:
    uris = [uri for voice in voices() for uri in (*voice.spec.source_uris, voice.spec.storage.uri)]
    for conversion in conversions():
        uris.append(conversion.spec.input.object or conversion.spec.input.prefix or "")
        uris.append(conversion.spec.output.prefix)
    assert all(uri.startswith(f"pvc://{CLAIM}/") for uri in uris)


def test_the_samples_on_oss_are_for_the_acs_overlay() -> None:
    folder = SAMPLES / "oss"
    objects = [item | {"metadata": item["metadata"] | {"uid": "0b5f"}} for item in build(folder)]
    voice = VoiceModel.from_object(next(item for item in objects if item["kind"] == "VoiceModel"))
    conversion = Conversion.from_object(next(item for item in objects if item["kind"] == "Conversion"))
    assert conversion.spec.voice_model_ref.name == voice.metadata.name
    spec = voice.spec
    assert (spec.accelerator.model, spec.training.architecture.value) == ("P16EN", "RVC2")
    uris = [*spec.source_uris, spec.storage.uri, conversion.spec.input.prefix, conversion.spec.output.prefix]
    assert len(uris) == 5
    assert all(uri.startswith("oss://my-bucket/") for uri in uris)
    accounts = [
        item["metadata"] for item in build(MANIFESTS / "overlays/acs") if item["kind"] == "ServiceAccount"
    ]
    named = (spec.storage.service_account_name, voice.metadata.namespace)
    assert named in [(account["name"], account["namespace"]) for account in accounts]


def test_the_example_of_a_secret_has_the_keys_that_pods_read_and_no_real_ones() -> None:
    secret = yaml.safe_load((SAMPLES / "oss/secret.yaml").read_text())
    assert secret["stringData"] == {"akId": "ACCESS_KEY_ID", "akSecret": "ACCESS_KEY_SECRET"}


@pytest.fixture(scope="module")
def installed(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    """A real API server with the CRDs and the operator's manifests."""
    kubectl, overlay = control_plane.kubectl, str(MANIFESTS / "overlays/local")
    kubectl("apply", "-k", str(ROOT / "crds"), "--validate=false")
    kubectl("wait", "crd", "--all", "--for=condition=Established", "--timeout=30s")
    kubectl("apply", "-k", overlay)
    yield control_plane
    kubectl("delete", "-k", overlay, "--ignore-not-found")


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("allowed", "question"),
    [
        ("yes", "list voicemodels.voice.rvc.dev --all-namespaces"),
        ("yes", "patch conversions.voice.rvc.dev --subresource=status --namespace=default"),
        ("yes", "create jobs.batch --namespace=default"),
        ("yes", "patch deployments.apps --namespace=default"),
        ("yes", "create events.events.k8s.io --namespace=default"),
        # The finalizer of deletionPolicy: Delete.
        ("yes", "patch voicemodels.voice.rvc.dev --namespace=default"),
        ("no", "update voicemodels.voice.rvc.dev --namespace=default"),
        ("no", "delete voicemodels.voice.rvc.dev --namespace=default"),
        ("no", "patch conversions.voice.rvc.dev --namespace=default"),
        ("no", "get secrets --namespace=default"),
        ("no", "list configmaps --namespace=default"),
        ("no", "get pods --subresource=log --namespace=default"),
        ("no", "create pods --subresource=exec --namespace=default"),
        ("no", "delete pods --namespace=default"),
        ("no", "create roles.rbac.authorization.k8s.io --namespace=default"),
    ],
)
def test_what_the_operator_may_do(installed: ControlPlane, allowed: str, question: str) -> None:
    account = "system:serviceaccount:rvc-system:rvc-operator"
    try:
        answer = installed.kubectl("auth", "can-i", f"--as={account}", *question.split())
    except ClusterError:
        # kubectl's exit code is its answer.
        answer = "no"
    assert answer.strip() == allowed


@pytest.mark.cluster
def test_a_real_server_takes_the_samples_and_a_second_apply_changes_nothing(installed: ControlPlane) -> None:
    kubectl = installed.kubectl
    try:
        kubectl("apply", "-f", str(SAMPLES / "claim.yaml"))
        kubectl("apply", "-k", str(SAMPLES))
        again = kubectl("apply", "-k", str(SAMPLES)).splitlines()
        assert [line.split()[-1] for line in again] == ["unchanged"] * 3
    finally:
        kubectl("delete", "-k", str(SAMPLES), "--ignore-not-found")
        kubectl("delete", "-f", str(SAMPLES / "claim.yaml"), "--ignore-not-found", "--wait=false")


@pytest.mark.cluster
def test_a_real_server_takes_every_manifest(installed: ControlPlane) -> None:
    """By a dry run, but for those of Prometheus' operator, whose kinds are not there."""
    kubectl = installed.kubectl
    kubectl("create", "namespace", "voices")
    try:
        for folder in sorted(path.parent for path in MANIFESTS.rglob("kustomization.yaml")):
            known = [one for one in build(folder) if one["kind"] not in ("PodMonitor", "PrometheusRule")]
            assert known, folder
            bundle = json.dumps({"apiVersion": "v1", "kind": "List", "items": known})
            taken = kubectl("apply", "--dry-run=server", "-f", "-", stdin=bundle).splitlines()
            assert len(taken) == len(known), folder
        kubectl("apply", "-n", "voices", "-f", str(SAMPLES / "oss/secret.yaml"), "--dry-run=server")
    finally:
        kubectl("delete", "namespace", "voices", "--wait=false")
