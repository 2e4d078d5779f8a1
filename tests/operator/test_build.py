"""Manifests of children, held by golden files; with UPDATE_GOLDEN=1 this module rewrites them."""

import os
from pathlib import Path

import pytest
import yaml

from rvc_operator.api.voicemodel import Artifact, VoiceModel
from rvc_operator.build.job import training_job
from rvc_operator.build.pod import Manifest, claim_of
from rvc_operator.build.server import sealed, server_deployment, server_service

from . import factory
from .factory import CONFIG, DIGEST, Body
from .manifests import voice_spec

GOLDEN = Path(__file__).parent / "golden"
REVISION = "0123456789"

CPU = voice_spec(consent={"statement": "I agree"})
PPU = voice_spec(
    dataset={"uri": "oss://recordings/alice/", "revision": "2"},
    storage={
        "uri": "oss://voices/",
        "endpoint": "https://oss-cn-wulanchabu-internal.aliyuncs.com",
        "region": "cn-wulanchabu",
        "secretRef": {"name": "oss-keys"},
    },
    training={"baseModelsUri": "pvc://base-models/v1/"},
    accelerator={"model": "P16EN", "count": 2, "driverVersion": "2.1.0", "qos": "best-effort"},
    queueName="gpus",
    podTemplate={
        "labels": {"team": "voices"},
        "annotations": {"alibabacloud.com/extra-ephemeral-storage": "300Gi"},
        "nodeSelector": {"zone": "a"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "priorityClassName": "low",
        "schedulerName": "binpack",
        "imagePullSecrets": [{"name": "registry"}],
        "resources": {"limits": {"memory": "96Gi"}},
    },
    serving={"service": {"annotations": {"team": "voices"}}},
)
RESERVED = voice_spec(
    storage={"uri": "oss://voices/", "region": "cn-wulanchabu", "serviceAccountName": "rrsa"},
    accelerator={"model": "P16EN", "computeClass": "gpu-hpn"},
)
GU8TF = voice_spec(accelerator={"model": "GU8TF", "count": 8, "driverVersion": "1.2.3"})
GU8TEF_RESERVED = voice_spec(accelerator={"model": "GU8TEF", "computeClass": "gpu-hpn"})
L20 = voice_spec(accelerator={"model": "L20", "qos": "best-effort"})
IMPORTED = voice_spec(
    dataset=None,
    training={"epochs": 7, "baseModelsUri": "pvc://base-models/v1/"},
    accelerator={"model": "P16EN"},
    **{"import": {"modelUri": "pvc://downloads/alice.pth", "indexUri": "pvc://downloads/alice.index"}},
)
PUBLIC = voice_spec(
    serving={
        "minReplicas": 1,
        "service": {
            "type": "LoadBalancer",
            "annotations": {"service.beta.kubernetes.io/alibaba-cloud-loadbalancer-address-type": "intranet"},
        },
        "tokenSecretRef": {"name": "callers", "key": "alice"},
    }
)
SPECS = {
    "cpu": CPU,
    "ppu": PPU,
    "ppu-reserved": RESERVED,
    "gu8tf": GU8TF,
    "gu8tef-reserved": GU8TEF_RESERVED,
    "l20": L20,
    "imported": IMPORTED,
    "public": PUBLIC,
}


def voice(spec: Body) -> VoiceModel:
    return VoiceModel.from_object(factory.voice(spec))


def artifact(spec: Body) -> Artifact:
    uri = f"{spec['storage']['uri']}test/alice/{REVISION}/"
    return Artifact(uri=uri, manifest_digest=DIGEST, size_bytes=1)


def manifests(spec: Body) -> list[Manifest]:
    one = voice(spec)
    return [
        training_job(one, CONFIG, REVISION, 1),
        server_deployment(one, CONFIG, artifact(spec), REVISION, 0),
        server_service(one),
    ]


@pytest.mark.parametrize(("name", "spec"), SPECS.items(), ids=SPECS)
def test_manifests_are_as_agreed(name: str, spec: Body) -> None:
    path = GOLDEN / f"{name}.yaml"
    text = yaml.safe_dump_all(manifests(spec), sort_keys=False, width=110)
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


def test_replicas_do_not_count_as_a_change_of_the_template() -> None:
    one, two = (server_deployment(voice(CPU), CONFIG, artifact(CPU), REVISION, n) for n in (1, 2))
    assert one["metadata"] == two["metadata"]
    assert (one["spec"].pop("replicas"), two["spec"].pop("replicas")) == (1, 2)
    assert one == two


def test_another_artifact_counts_as_a_change() -> None:
    one = server_deployment(voice(CPU), CONFIG, artifact(CPU), REVISION, 1)
    two = server_deployment(voice(CPU), CONFIG, artifact(CPU), "9876543210", 1)
    assert one["metadata"]["annotations"] != two["metadata"]["annotations"]


def test_sealing_does_not_depend_on_the_order_of_keys() -> None:
    one = sealed({"metadata": {"name": "a"}, "spec": {"x": 1, "y": 2}})
    two = sealed({"spec": {"y": 2, "x": 1}, "metadata": {"name": "a"}})
    assert one == two


@pytest.mark.parametrize(
    ("uri", "claim"), [("pvc://voices/a/b.wav", "voices"), ("pvc://voices/", "voices"), ("oss://b/k", None)]
)
def test_claims_are_read_from_uris(uri: str, claim: str | None) -> None:
    assert claim_of(uri) == claim


def test_labels_of_the_user_never_replace_ours() -> None:
    labels = {"alibabacloud.com/compute-class": "general-purpose", "revision": "mine"}
    one = voice(voice_spec(podTemplate={"labels": labels}, accelerator={"model": "P16EN"}))
    pod = training_job(one, CONFIG, REVISION, 1)["spec"]["template"]["metadata"]["labels"]
    assert pod["voice.rvc.dev/revision"] == REVISION
    assert pod["alibabacloud.com/compute-class"] == "general-purpose"
