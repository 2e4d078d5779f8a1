"""Objects as the API server would show them, for the tests of pure plans."""

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec

from rvc import contract
from rvc.proof import Signer
from rvc_operator.accelerators import Accelerator
from rvc_operator.api.names import (
    COMPONENT_LABEL,
    REVISION_LABEL,
    SERVER_CONTAINER,
    TRAINER_CONTAINER,
    VOICE_LABEL,
)
from rvc_operator.api.objects import Deployment, Job, Pod, view
from rvc_operator.api.rules import to_object
from rvc_operator.config import Config
from rvc_operator.plan.actions import ConversionPlan, VoicePlan

from .manifests import Spec, conversion_spec, voice_spec

CONFIG = Config(
    "registry/rvc-trainer:1", "registry/rvc-inference:1", public_key=Signer(bytes(range(32))).public_key
)
NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
DIGEST = "sha256:" + "0f" * 32
Body = dict[str, Any]
T = TypeVar("T", Job, Pod)


def with_accelerators(**entries: Accelerator) -> Config:
    """The configuration with more models in its catalogue, or others."""
    return dataclasses.replace(CONFIG, accelerators=dict(CONFIG.accelerators) | entries)


def seconds(number: float) -> timedelta:
    """So many seconds."""
    return timedelta(seconds=number)


def moment(value: datetime) -> str:
    """A time as it stands in an object."""
    return value.strftime("%Y-%m-%dT%H:%M:%SZ")


def voice(spec: Spec | None = None, status: Body | None = None, generation: int = 1) -> Body:
    """A VoiceModel named alice, created just now."""
    return _object("alice", spec or voice_spec(), status, generation)


def conversion(spec: Spec | None = None, status: Body | None = None, generation: int = 1) -> Body:
    """A Conversion named hello, created just now."""
    return _object("hello", spec or conversion_spec(), status, generation)


def after(body: Body, plan: VoicePlan | ConversionPlan) -> Body:
    """The object once the plan's status has been written."""
    return body | {"status": to_object(plan.status)}


def edited(body: Body, **changes: Any) -> Body:
    """The object after a user has changed top-level fields of its spec."""
    generation = body["metadata"]["generation"] + 1
    metadata = body["metadata"] | {"generation": generation}
    return body | {"metadata": metadata, "spec": body["spec"] | changes}


def job(
    name: str,
    *,
    ended: str = "",
    created: datetime = NOW,
    started: datetime | None = None,
    resumed: bool = False,
    **spec: Any,
) -> Job:
    """A Job of alice; `ended` is the condition that it ended with, `resumed` says that it was queued."""
    ending = {"type": ended, "status": "True", "lastTransitionTime": moment(created)}
    conditions = [ending] if ended else []
    if resumed:
        conditions.append({"type": "Suspended", "status": "False"})
    status: Body = {"conditions": conditions}
    if started is not None:
        status["startTime"] = moment(started)
    return view(Job, {"metadata": _metadata(name, created), "spec": spec, "status": status})


def deleting(one: T) -> T:
    """The same Job or pod on its way out."""
    return msgspec.structs.replace(
        one, metadata=msgspec.structs.replace(one.metadata, deletion_timestamp=NOW)
    )


def trainer(
    of: str,
    phase: str = "Running",
    *,
    exit_code: int | None = None,
    message: str = "",
    reason: str = "",
    waiting: tuple[str, str] | None = None,
    conditions: tuple[Body, ...] = (),
    created: datetime = NOW,
    deleted: datetime | None = None,
    pod_reason: str = "",
) -> Pod:
    """A pod of the Job named `of`."""
    state: Body = {"running": {"startedAt": moment(created)}} if phase == "Running" else {}
    if exit_code is not None:
        state = {"terminated": {"exitCode": exit_code, "message": message, "reason": reason}}
    if waiting is not None:
        state = {"waiting": {"reason": waiting[0], "message": waiting[1]}}
    metadata = _metadata(f"{of}-pod", created) | {
        "ownerReferences": [{"uid": f"uid-{of}", "name": of, "kind": "Job", "controller": True}],
        "labels": {VOICE_LABEL: "alice", COMPONENT_LABEL: "trainer"},
    }
    if deleted is not None:
        metadata["deletionTimestamp"] = moment(deleted)
    statuses = [{"name": TRAINER_CONTAINER, "state": state}] if state else []
    status = {
        "phase": phase,
        "reason": pod_reason,
        "podIP": "10.0.0.1",
        "conditions": list(conditions),
        "containerStatuses": statuses,
    }
    return view(Pod, {"metadata": metadata, "status": status})


def server(name: str, revision: str, *, ready: bool = True, waiting: str = "", phase: str = "Running") -> Pod:
    """A server of alice that speaks with `revision`."""
    reference = contract.VoiceReference(f"pvc://voices/models/test/alice/{revision}/", DIGEST, revision)
    environment = [{"name": contract.SERVED_VOICE_VARIABLE, "value": contract.encode(reference)}]
    state = {"waiting": {"reason": waiting, "message": ""}} if waiting else {}
    labels = {VOICE_LABEL: "alice", COMPONENT_LABEL: "server", REVISION_LABEL: revision}
    return view(
        Pod,
        {
            "metadata": _metadata(name, NOW) | {"labels": labels},
            "spec": {"containers": [{"name": SERVER_CONTAINER, "env": environment}]},
            "status": {
                "phase": phase,
                "podIP": "10.0.0.2",
                "conditions": [{"type": "Ready", "status": str(ready)}],
                "containerStatuses": [{"name": SERVER_CONTAINER, "state": state}],
            },
        },
    )


def deployment(revision: str, replicas: int, template: str = "") -> Deployment:
    """The Deployment of alice."""
    metadata = _metadata("alice-server", NOW) | {
        "labels": {REVISION_LABEL: revision},
        "annotations": {"voice.rvc.dev/template": template},
    }
    return view(Deployment, {"metadata": metadata, "spec": {"replicas": replicas}})


def state(plan: VoicePlan | ConversionPlan, type: str = "Ready") -> tuple[str, str] | None:
    """Status and reason of a condition, None if it is absent."""
    found = [one for one in plan.status.conditions if one.type == type]
    return (found[0].status.value, found[0].reason) if found else None


def message(plan: VoicePlan | ConversionPlan, type: str = "Ready") -> str:
    """Message of a condition."""
    return next(one.message for one in plan.status.conditions if one.type == type)


def _object(name: str, spec: Spec, status: Body | None, generation: int) -> Body:
    metadata = _metadata(name, NOW) | {"generation": generation}
    return {"metadata": metadata, "spec": spec, "status": status or {"observedGeneration": -1}}


def _metadata(name: str, created: datetime) -> Body:
    return {
        "name": name,
        "namespace": "test",
        "uid": f"uid-{name}",
        "resourceVersion": "1",
        "creationTimestamp": moment(created),
    }
