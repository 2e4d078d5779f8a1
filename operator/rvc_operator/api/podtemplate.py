"""What a user may say about the pods of a voice: an allow-list, never a whole pod.

Image, command, volumes and security settings stay with the operator, so a VoiceModel gives its author no more
rights than the operator intends.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from msgspec import Meta, field

from rvc.contract import API_GROUP

from .common import Annotations, Count, Name, Reference, SpecStruct, by_key
from .names import MANAGED_BY_LABEL
from .rules import rule

LabelValue = Annotated[str, Meta(max_length=63, pattern="^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$")]
Quantity = Annotated[str, Meta(max_length=32, pattern="^[0-9]+([.][0-9]+)?(m|[kMGTPE]|[KMGTPE]i)?$")] | int
Resources = Annotated[dict[str, Quantity], Meta(max_length=16)]


class TolerationOperator(StrEnum):
    """How a toleration compares."""

    EXISTS = "Exists"
    EQUAL = "Equal"


class TaintEffect(StrEnum):
    """What a taint does to pods that do not tolerate it."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class Toleration(SpecStruct, frozen=True):
    """A taint of nodes that the pods accept."""

    key: Annotated[str, Meta(max_length=316)] | None = None
    """Key of the taint; left out, every taint is tolerated."""
    operator: TolerationOperator = TolerationOperator.EQUAL
    """Exists accepts any value of the taint, Equal only the given one."""
    value: Annotated[str, Meta(max_length=63)] | None = None
    """Value of the taint, with operator Equal."""
    effect: TaintEffect | None = None
    """Effect of the taint; left out, every effect is tolerated."""
    toleration_seconds: Count | None = None
    """How long a NoExecute taint is tolerated; left out, forever."""


class ResourceRequirements(SpecStruct, frozen=True):
    """CPU, memory and ephemeral storage of the container; the accelerator's resource is added by the
    operator."""

    requests: Resources = field(default_factory=dict)
    """What is reserved, e.g. cpu, memory, ephemeral-storage."""
    limits: Resources = field(default_factory=dict)
    """What is never exceeded."""


class PodTemplate(SpecStruct, frozen=True):
    """Additions to the pods of training and serving."""

    labels: Annotated[dict[str, LabelValue], Meta(max_length=64)] = field(default_factory=dict)
    """Labels added to the pods; keys of voice.rvc.dev/ and app.kubernetes.io/managed-by are the
    operator's."""
    annotations: Annotations = field(default_factory=dict)
    """Annotations added to the pods."""
    node_selector: Annotated[dict[str, LabelValue], Meta(max_length=32)] = field(default_factory=dict)
    """Labels that a node must have to run the pods."""
    tolerations: Annotated[tuple[Toleration, ...], Meta(max_length=32)] = ()
    """Taints of nodes that the pods accept."""
    affinity: dict[str, Any] | None = None
    """Scheduling preferences as in the spec.affinity of a pod; checked when the pod is created."""
    priority_class_name: Name | None = None
    """Name of the PriorityClass of the pods."""
    scheduler_name: Name | None = None
    """Scheduler of the pods; left out, the cluster's default."""
    image_pull_secrets: Annotated[tuple[Reference, ...], by_key("name", 8)] = ()
    """Secrets with credentials of the registry that holds the images."""
    resources: ResourceRequirements = ResourceRequirements()
    """CPU, memory and ephemeral storage; left out, what the operator's configuration says for the
    accelerator."""

    @rule(
        f"!has(self.labels) || self.labels.all(key, "
        f"!key.startsWith('{API_GROUP}/') && key != '{MANAGED_BY_LABEL}')",
        field="labels",
    )
    def leaves_our_labels(self) -> bool:
        """labels must not use voice.rvc.dev/ nor app.kubernetes.io/managed-by, they are the operator's"""
        return not any(key.startswith(f"{API_GROUP}/") or key == MANAGED_BY_LABEL for key in self.labels)
