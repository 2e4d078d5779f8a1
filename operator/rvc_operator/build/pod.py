"""The pod template that trainers and servers share: security, identity, accelerator, claims, the user's
additions.

Nothing but the allow-list of `spec.podTemplate` comes from the user, so a VoiceModel gives its author no
more rights than the operator intends. The pods satisfy the `restricted` Pod Security Standard.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rvc.contract import (
    CLAIMS_FOLDER,
    OSS_SECRET_FOLDER,
    OSS_SECRET_FOLDER_VARIABLE,
    RUN_AS_USER,
    TERMINATION_MESSAGE_PATH,
)
from rvc.proof import OPERATOR_KEY_VARIABLE, POD_UID_VARIABLE
from rvc_operator.accelerators import Accelerator, Resources
from rvc_operator.api.rules import to_object
from rvc_operator.api.sources import Storage
from rvc_operator.api.voicemodel import VoiceModel

Manifest = dict[str, Any]

PVC_SCHEME = "pvc://"
SECRET_VOLUME = "oss-secret"
SECRET_MODE = 0o440
"""Of the Secret's files: root's, readable for the pod's group, which is ours by `fsGroup`."""


def claim_of(uri: str) -> str | None:
    """The PersistentVolumeClaim that a `pvc://claim/path` names; None for other schemes."""
    return uri.removeprefix(PVC_SCHEME).partition("/")[0] if uri.startswith(PVC_SCHEME) else None


def claims_of(uris: Iterable[str]) -> list[str]:
    """All claims that the URIs name, sorted."""
    return sorted({claim for claim in map(claim_of, uris) if claim is not None})


def owner_reference(voice: VoiceModel) -> Manifest:
    """Ties a child to its voice, so that it goes when the voice goes."""
    return {
        "apiVersion": "voice.rvc.dev/v1alpha1",
        "kind": voice.KIND,
        "name": voice.metadata.name,
        "uid": voice.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def metadata(voice: VoiceModel, name: str, labels: Mapping[str, str]) -> Manifest:
    """Metadata of a child: our own labels only, never the parent's."""
    return {
        "name": name,
        "namespace": voice.metadata.namespace,
        "labels": dict(labels),
        "ownerReferences": [owner_reference(voice)],
    }


def container(
    name: str, image: str, module: str, environment: Mapping[str, str], storage: Storage, public_key: str
) -> Manifest:
    """A container that runs one of our Python programs, locked down, with the store's credentials; it
    believes the operator whose public key it is given.

    It belongs into the `pod_spec` of the same voice, which has the volumes.
    """
    fixed = {"HOME": "/tmp", "USER": "rvc"}
    mounts: list[Manifest] = [{"name": "scratch", "mountPath": "/tmp"}]
    if storage.secret_ref is not None:
        mounts.append({"name": SECRET_VOLUME, "mountPath": OSS_SECRET_FOLDER, "readOnly": True})
    return {
        "name": name,
        "image": image,
        "command": ["python3", "-m", module],
        "env": [
            *({"name": key, "value": value} for key, value in (fixed | dict(environment)).items()),
            {"name": OPERATOR_KEY_VARIABLE, "value": public_key},
            {"name": POD_UID_VARIABLE, "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
            *_identity(storage),
        ],
        "terminationMessagePath": TERMINATION_MESSAGE_PATH,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": mounts,
    }


def port(number: int) -> Manifest:
    """The port of a container's HTTP server; server-side apply needs the protocol, it is part of the key."""
    return {"name": "http", "containerPort": number, "protocol": "TCP"}


def resources(beside: Resources, accelerator: Accelerator, cards: int, voice: VoiceModel) -> Manifest:
    """Requests and limits: the catalogue's, over them the user's; cards in both, as Kubernetes wants them."""
    wanted = voice.spec.pod_template.resources
    requests: Manifest = dict(beside.requests) | dict(wanted.requests)
    limits: Manifest = dict(beside.limits) | dict(wanted.limits)
    if accelerator.resource_name:
        requests[accelerator.resource_name] = limits[accelerator.resource_name] = str(cards)
    return {key: value for key, value in (("requests", requests), ("limits", limits)) if value}


def mount_claims(pod: Manifest, claims: Mapping[str, bool]) -> None:
    """Mount claims in the only container; the value says whether it writes there."""
    for number, (claim, writes) in enumerate(claims.items()):
        # A claim's name may be longer than a volume's, and have dots.
        volume, path = f"claim-{number}", f"{CLAIMS_FOLDER}/{claim}"
        mount = {"name": volume, "mountPath": path, "readOnly": not writes}
        pod["containers"][0]["volumeMounts"].append(mount)
        pod["volumes"].append({"name": volume, "persistentVolumeClaim": {"claimName": claim}})


def pod_spec(voice: VoiceModel, accelerator: Accelerator, only: Manifest, grace_seconds: int) -> Manifest:
    """A pod of one container."""
    storage = voice.spec.storage
    identity = storage.service_account_name
    pod: Manifest = {
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": RUN_AS_USER,
            "runAsGroup": RUN_AS_USER,
            "fsGroup": RUN_AS_USER,
            # Without it the kubelet walks through every recording of a large volume at each start.
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "automountServiceAccountToken": identity is not None,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": grace_seconds,
        "containers": [only],
        "volumes": [{"name": "scratch", "emptyDir": {}}],
    }
    if identity is not None:
        pod["serviceAccountName"] = identity
    if storage.secret_ref is not None:
        secret = {"secretName": storage.secret_ref.name, "defaultMode": SECRET_MODE, "optional": True}
        pod["volumes"].append({"name": SECRET_VOLUME, "secret": secret})
    return pod | _scheduling(voice, accelerator)


def pod_metadata(voice: VoiceModel, accelerator: Accelerator, labels: Mapping[str, str]) -> Manifest:
    """Labels and annotations of a pod; ours win over the user's, the user's over the catalogue's."""
    user = voice.spec.pod_template
    annotations = accelerator.annotations | dict(user.annotations)
    merged: Manifest = {"labels": accelerator.labels | dict(user.labels) | dict(labels)}
    return merged | ({"annotations": annotations} if annotations else {})


def _scheduling(voice: VoiceModel, accelerator: Accelerator) -> Manifest:
    user = to_object(voice.spec.pod_template)
    kept = ("affinity", "priorityClassName", "schedulerName", "imagePullSecrets")
    tolerations = [*map(to_object, accelerator.tolerations), *user.get("tolerations", [])]
    scheduling: Manifest = {"tolerations": tolerations} if tolerations else {}
    scheduling |= {key: user[key] for key in kept if user.get(key)}
    selector = accelerator.node_selector | dict(voice.spec.pod_template.node_selector)
    return scheduling | ({"nodeSelector": selector} if selector else {})


def _identity(storage: Storage) -> list[Manifest]:
    """Environment by which a container can prove who it is to the object store."""
    if storage.secret_ref is not None:
        # Read from files, so that a rotated Secret is taken up. A volume whose Secret is missing would leave
        # the pod waiting without a word in its status; so the volume is optional, and this variable, which
        # nobody reads, makes the kubelet refuse the container and name the Secret or the key.
        key = {"name": storage.secret_ref.name, "key": "akId"}
        return [
            {"name": OSS_SECRET_FOLDER_VARIABLE, "value": OSS_SECRET_FOLDER},
            {"name": "RVC_OSS_KEY_ID_AT_START", "valueFrom": {"secretKeyRef": key}},
        ]
    if storage.service_account_name is not None and storage.region is not None:
        # RRSA's webhook adds the role and the token; a VPC without NAT reaches STS only at its own address.
        return [
            {"name": "ALIBABA_CLOUD_STS_REGION", "value": storage.region.removeprefix("oss-")},
            {"name": "ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED", "value": "true"},
        ]
    return []
