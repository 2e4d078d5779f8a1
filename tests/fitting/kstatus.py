"""What kstatus makes of an object: the rules by which Flux, `kpt` and Config Sync wait.

They are few (sigs.k8s.io/cli-utils, package kstatus): deletion first, then the generation, then the abnormal
conditions in the order in which they stand, then Ready.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any


class Kstatus(StrEnum):
    """What a tool that waits is told."""

    CURRENT = "Current"
    IN_PROGRESS = "InProgress"
    FAILED = "Failed"
    TERMINATING = "Terminating"


ABNORMAL = {"Reconciling": Kstatus.IN_PROGRESS, "Stalled": Kstatus.FAILED}


def kstatus(obj: dict[str, Any]) -> Kstatus:
    """The state of an object of a kind that kstatus has no rules of its own for."""
    metadata, status = obj["metadata"], obj.get("status", {})
    if metadata.get("deletionTimestamp"):
        return Kstatus.TERMINATING
    # An operator that has not looked yet, and does not say so by an observedGeneration, passes for done.
    if (
        "generation" in metadata
        and status.get("observedGeneration", metadata["generation"]) != (metadata["generation"])
    ):
        return Kstatus.IN_PROGRESS
    conditions = status.get("conditions", [])
    for condition in conditions:
        if condition["status"] == "True" and condition["type"] in ABNORMAL:
            return ABNORMAL[condition["type"]]
    ready = [condition["status"] for condition in conditions if condition["type"] == "Ready"]
    return Kstatus.CURRENT if ready in ([], ["True"]) else Kstatus.IN_PROGRESS


def kubectl_waits(obj: dict[str, Any], condition: str = "Ready") -> bool:
    """Whether `kubectl wait --for=condition=...` would go on waiting: the condition has to speak of the
    current generation, or the status has to where the condition does not say."""
    generation, status = obj["metadata"].get("generation", 0), obj.get("status", {})
    for found in status.get("conditions", []):
        if found["type"] == condition:
            seen = found.get("observedGeneration", status.get("observedGeneration", generation))
            return bool(found["status"] != "True" or seen < generation)
    return True
