"""The yardstick: an operator of kopf's high-level handlers that does the least of what ours does.

A Job for each voice, a Ready condition on each voice and each Conversion, and a voice's condition that
follows its pod. Written as kopf's documentation suggests: create, update and resume handlers that patch the
status.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

import kopf

from rvc_operator.api.names import MANAGED_BY_LABEL, MANAGER, VOICE_LABEL
from rvc_operator.runtime.cache import Key, Kind
from rvc_operator.runtime.kube import Conflict, Kube, client_configuration
from rvc_operator.runtime.operator import utc_now

OURS = {MANAGED_BY_LABEL: MANAGER}


@kopf.on.startup()
async def startup(settings: kopf.OperatorSettings, memo: kopf.Memo, **_: Any) -> None:
    """As ours, where it matters: no posted logs, our own client for children."""
    settings.scanning.disabled = True
    settings.posting.enabled = False
    memo.kube = Kube(await client_configuration())


@kopf.on.create("voice.rvc.dev", "voicemodels")
@kopf.on.update("voice.rvc.dev", "voicemodels")
@kopf.on.resume("voice.rvc.dev", "voicemodels")
async def voice(body: kopf.Body, patch: kopf.Patch, memo: kopf.Memo, **_: Any) -> None:
    """Its Job, and its condition."""
    with suppress(Conflict):
        await memo.kube.create(Kind.JOB, _job(body))
    if not body.status.get("conditions"):
        patch.status["conditions"] = [_ready("Pending", body.meta["generation"])]


@kopf.on.create("voice.rvc.dev", "conversions")
@kopf.on.update("voice.rvc.dev", "conversions")
@kopf.on.resume("voice.rvc.dev", "conversions")
async def conversion(body: kopf.Body, patch: kopf.Patch, **_: Any) -> None:
    """Its condition."""
    if not body.status.get("conditions"):
        patch.status["conditions"] = [_ready("WaitingForVoice", body.meta["generation"])]


@kopf.on.event("", "v1", "pods", labels=OURS)
async def pod(body: kopf.Body, memo: kopf.Memo, **_: Any) -> None:
    """The voice's condition says why its pod does not start."""
    for condition in body.status.get("conditions", []):
        if condition.get("reason") == "Unschedulable":
            key = Key(Kind.VOICE, body.meta["namespace"], body.meta["labels"][VOICE_LABEL])
            status = {"conditions": [_ready("Unschedulable", 1)]}
            await memo.kube.patch(key, {"status": status}, "status")


def _ready(reason: str, generation: int) -> dict[str, Any]:
    return {
        "type": "Ready",
        "status": "Unknown",
        "reason": reason,
        "message": reason,
        "observedGeneration": generation,
        "lastTransitionTime": utc_now().strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _job(body: kopf.Body) -> dict[str, Any]:
    name, labels = body.meta["name"], OURS | {VOICE_LABEL: body.meta["name"]}
    owner = {"apiVersion": body["apiVersion"], "kind": body["kind"], "name": name, "uid": body.meta["uid"]}
    container = {"name": "trainer", "image": os.environ["RVC_TRAINER_IMAGE"]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": f"{name}-train",
            "namespace": body.meta["namespace"],
            "labels": labels,
            "ownerReferences": [owner | {"controller": True}],
        },
        "spec": {
            "backoffLimit": 0,
            "template": {
                "metadata": {"labels": labels},
                "spec": {"restartPolicy": "Never", "containers": [container]},
            },
        },
    }


if __name__ == "__main__":
    kopf.run(standalone=True, namespaces=[os.environ["RVC_NAMESPACES"]])
