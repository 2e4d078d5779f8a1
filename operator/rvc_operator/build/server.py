"""Deployment and Service of a voice.

The rollout takes one server away before it starts its successor (no surge): a card is never needed twice,
so that a rollout cannot wait for stock, and the other replicas go on. What a server was doing is given to
another one.
"""

from __future__ import annotations

import hashlib

import msgspec

from rvc import contract
from rvc_operator.accelerators import Accelerator
from rvc_operator.api import names
from rvc_operator.api.voicemodel import Artifact, SecretKey, VoiceModel
from rvc_operator.config import Config

from . import pod
from .accelerator import accelerator_of
from .job import store_settings
from .pod import Manifest

GRACE_SECONDS = 30
TOKEN_FILE = "token"
"""Volume, and file in it, of the token of those who convert directly."""
START_PERIOD_SECONDS = 2
START_FAILURES = 150
"""Five minutes for the first answer: loading libraries takes its time on a busy node."""


def voice_reference(
    voice: VoiceModel, artifact: Artifact, revision: str, device: contract.Device
) -> contract.VoiceReference:
    """The published voice, exactly, as servers and conversions name it."""
    return contract.VoiceReference(
        uri=artifact.uri,
        manifest_digest=artifact.manifest_digest,
        revision=revision,
        device=device,
        store=store_settings(voice),
        base_models_uri=voice.spec.training.base_models_uri or "",
    )


def server_deployment(
    voice: VoiceModel, config: Config, artifact: Artifact, revision: str, replicas: int
) -> Manifest:
    """Manifest of the servers of `revision`; raises InvalidSpec for an unknown accelerator."""
    accelerator = accelerator_of(voice.spec, config)
    reference = voice_reference(voice, artifact, revision, accelerator.device)
    name = voice.metadata.name
    selector = names.labels(name, names.Component.SERVER)
    labels = selector | {names.REVISION_LABEL: revision}
    if voice.spec.serving.token_secret_ref is not None:
        labels[names.DIRECT_LABEL] = "true"
    return sealed(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": pod.metadata(voice, names.server_name(name), labels),
            "spec": {
                "revisionHistoryLimit": 1,
                "strategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1},
                },
                "selector": {"matchLabels": selector},
                "template": {
                    "metadata": pod.pod_metadata(voice, accelerator, labels),
                    "spec": _server(voice, config, accelerator, reference),
                },
            },
        },
        replicas,
    )


def server_service(voice: VoiceModel) -> Manifest:
    """Manifest of the Service before the servers."""
    name, service = voice.metadata.name, voice.spec.serving.service
    labels = names.labels(name, names.Component.SERVER)
    manifest: Manifest = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": pod.metadata(voice, names.server_name(name), labels)
        | {"annotations": dict(service.annotations)},
        "spec": {
            "type": service.type.value,
            "selector": labels,
            "ports": [
                {"name": "http", "port": contract.SERVER_PORT, "targetPort": "http", "protocol": "TCP"}
            ],
        },
    }
    return sealed(manifest)


def service_url(voice: VoiceModel) -> str:
    """Where the Service is reached from inside the cluster."""
    name, namespace = names.server_name(voice.metadata.name), voice.metadata.namespace
    return f"http://{name}.{namespace}.svc:{contract.SERVER_PORT}"


def sealed(manifest: Manifest, replicas: int | None = None) -> Manifest:
    """The manifest with a digest of itself as annotation; the replicas, added last, are not part of it."""
    digest = hashlib.sha256(msgspec.json.encode(manifest, order="sorted")).hexdigest()
    annotations = manifest["metadata"].get("annotations", {}) | {names.TEMPLATE_ANNOTATION: digest[:16]}
    result = manifest | {"metadata": manifest["metadata"] | {"annotations": annotations}}
    return result if replicas is None else result | {"spec": {"replicas": replicas} | manifest["spec"]}


def _server(
    voice: VoiceModel, config: Config, accelerator: Accelerator, reference: contract.VoiceReference
) -> Manifest:
    spec = voice.spec
    container = pod.container(
        names.SERVER_CONTAINER,
        accelerator.server_image or config.server_image,
        "rvc_inference",
        {contract.SERVED_VOICE_VARIABLE: contract.encode(reference)},
        spec.storage,
        config.public_key,
    )
    container["ports"] = [pod.port(contract.SERVER_PORT)]
    container["resources"] = pod.resources(accelerator.server, accelerator, 1, voice)
    container["startupProbe"] = _probe("/healthz", START_PERIOD_SECONDS, START_FAILURES)
    container["livenessProbe"] = _probe("/healthz", 10, 6)
    container["readinessProbe"] = _probe("/readyz", 2, 3)
    server = pod.pod_spec(voice, accelerator, container, GRACE_SECONDS)
    if spec.serving.token_secret_ref is not None:
        _let_users_in(server, spec.serving.token_secret_ref, config)
    read = [spec.training.base_models_uri] if spec.training.base_models_uri else []
    writable = pod.claims_of([spec.storage.uri])
    claims = pod.claims_of([spec.storage.uri, *read])
    pod.mount_claims(server, {claim: claim in writable for claim in claims})
    return server


def _let_users_in(server: Manifest, token: SecretKey, config: Config) -> None:
    """Mount the token of those who convert directly. The kubelet reads the Secret, the operator never does;
    while it is missing the server goes on with Conversions and lets nobody else in."""
    (container,) = server["containers"]
    container["env"] += [
        {"name": contract.TOKEN_FILE_VARIABLE, "value": f"{contract.TOKEN_FOLDER}/{TOKEN_FILE}"},
        {"name": contract.CONTENT_PRODUCER_VARIABLE, "value": config.content_producer},
    ]
    mount = {"name": TOKEN_FILE, "mountPath": contract.TOKEN_FOLDER, "readOnly": True}
    container["volumeMounts"].append(mount)
    secret = {
        "secretName": token.name,
        "items": [{"key": token.key, "path": TOKEN_FILE}],
        "defaultMode": pod.SECRET_MODE,
        "optional": True,
    }
    server["volumes"].append({"name": TOKEN_FILE, "secret": secret})


def _probe(path: str, period_seconds: int, failures: int) -> Manifest:
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period_seconds,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }
