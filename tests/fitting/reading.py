"""What must hold of every status that the operator writes, so that tools read it the same way as people."""

from __future__ import annotations

from typing import Any

from .argocd import health
from .kstatus import Kstatus, kstatus, kubectl_waits

Read = tuple[Kstatus, str, bool]
"""kstatus, Argo CD's health, and whether `kubectl wait --for=condition=Ready` waits on."""


def read(obj: dict[str, Any], kind: str) -> Read:
    """An object as the three tools see it."""
    return kstatus(obj), health(obj, kind)[0], kubectl_waits(obj)


def check_status(obj: dict[str, Any], kind: str) -> Read:
    """Check the status of an object whose generation the operator has just answered; what tools read."""
    generation, status = obj["metadata"]["generation"], obj["status"]
    conditions = {one["type"]: one for one in status["conditions"]}
    assert len(conditions) == len(status["conditions"])
    assert status["observedGeneration"] == generation
    assert {one["observedGeneration"] for one in status["conditions"]} == {generation}
    assert all(one["reason"] and one["message"] for one in status["conditions"])
    abnormal = {"Reconciling", "Stalled"} & set(conditions)
    assert len(abnormal) < 2
    assert all(conditions[one]["status"] == "True" for one in abnormal)
    ready = conditions["Ready"]
    assert ready["status"] != "Unknown" or abnormal == {"Reconciling"}
    seen = read(obj, kind)
    assert seen == expected(ready, abnormal)
    edited = obj | {"metadata": obj["metadata"] | {"generation": generation + 1}}
    assert read(edited, kind) == (Kstatus.IN_PROGRESS, "Progressing", True)
    return seen


def expected(ready: dict[str, Any], abnormal: set[str]) -> Read:
    """What the tools ought to see, by the condition Ready and the abnormal ones."""
    usable = ready["status"] == "True"
    if "Stalled" in abnormal:
        return Kstatus.FAILED, "Degraded", not usable
    if usable:
        # A voice that is trained anew can be used all the while.
        return Kstatus.IN_PROGRESS if abnormal else Kstatus.CURRENT, "Healthy", False
    if ready["reason"] == "Suspended":
        return Kstatus.IN_PROGRESS, "Suspended", True
    return Kstatus.IN_PROGRESS, "Progressing", True
