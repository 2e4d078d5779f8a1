"""As much of Kubernetes' own objects (Jobs, Pods, Deployments) as plans look at, typed; the rest is
ignored."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from msgspec import Struct, field

from .names import REVISION_LABEL

T = TypeVar("T", bound=Struct)


class _View(Struct, frozen=True, rename="camel"):
    pass


class Owner(_View, frozen=True):
    """An owner reference."""

    uid: str
    name: str = ""
    kind: str = ""
    controller: bool = False


class ObjectMetadata(_View, frozen=True):
    """Identity and life of an object."""

    name: str
    namespace: str
    uid: str
    creation_timestamp: datetime
    deletion_timestamp: datetime | None = None
    resource_version: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    owner_references: tuple[Owner, ...] = ()

    @property
    def owner(self) -> str:
        """Uid of the controlling owner, empty for none."""
        return next((owner.uid for owner in self.owner_references if owner.controller), "")

    @property
    def deleting(self) -> bool:
        """Whether the object is on its way out."""
        return self.deletion_timestamp is not None

    @property
    def revision(self) -> str:
        """Revision of the voice that the child is about."""
        return self.labels.get(REVISION_LABEL, "")


class ObjectCondition(_View, frozen=True):
    """A condition of a Job or Pod."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    last_transition_time: datetime | None = None


class JobSpec(_View, frozen=True):
    """Kueue holds a Job back by suspending it."""

    suspend: bool = False


class JobStatus(_View, frozen=True):
    """How a Job went."""

    conditions: tuple[ObjectCondition, ...] = ()
    start_time: datetime | None = None
    """When it was first allowed to run, or allowed again."""


class Job(_View, frozen=True):
    """A training attempt."""

    metadata: ObjectMetadata
    spec: JobSpec = JobSpec()
    status: JobStatus = JobStatus()

    @property
    def complete(self) -> bool:
        """Whether its pod succeeded."""
        return holds(self.status.conditions, "Complete")

    @property
    def failed(self) -> bool:
        """Whether its pod failed."""
        return holds(self.status.conditions, "Failed")

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen."""
        return self.complete or self.failed

    @property
    def held(self) -> bool:
        """Whether a queue holds it back, by its spec or by what its controller last saw."""
        return self.spec.suspend or holds(self.status.conditions, "Suspended")

    @property
    def pending_since(self) -> datetime | None:
        """Since when it may have had a pod; None while it is held back or has only just been let go."""
        was_held = self.spec.suspend or any(one.type == "Suspended" for one in self.status.conditions)
        return self.status.start_time or (None if was_held else self.metadata.creation_timestamp)

    @property
    def finish_time(self) -> datetime | None:
        """When it finished, None before or when the API server does not say."""
        ends = (one for one in self.status.conditions if one.type in ("Complete", "Failed"))
        return next((one.last_transition_time for one in ends if one.status == "True"), None)


class Waiting(_View, frozen=True):
    """Why a container does not run yet."""

    reason: str = ""
    message: str = ""


class Terminated(_View, frozen=True):
    """How a container ended."""

    exit_code: int
    reason: str = ""
    message: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None


class Running(_View, frozen=True):
    """A container at work."""

    started_at: datetime | None = None


class ContainerState(_View, frozen=True):
    """At most one of the three."""

    waiting: Waiting | None = None
    running: Running | None = None
    terminated: Terminated | None = None


class ContainerStatus(_View, frozen=True):
    """State of one container."""

    name: str
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()


class EnvironmentVariable(_View, frozen=True):
    """A variable of a container; empty when its value comes from elsewhere."""

    name: str
    value: str = ""


class Container(_View, frozen=True):
    """A container as it was asked for."""

    name: str
    env: tuple[EnvironmentVariable, ...] = ()


class PodSpec(_View, frozen=True):
    """A pod as it was asked for."""

    containers: tuple[Container, ...] = ()


class PodStatus(_View, frozen=True):
    """A pod as it is."""

    phase: str = "Pending"
    pod_ip: str = field(name="podIP", default="")
    reason: str = ""
    message: str = ""
    conditions: tuple[ObjectCondition, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()


class Pod(_View, frozen=True):
    """A trainer or server."""

    metadata: ObjectMetadata
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    @property
    def live(self) -> bool:
        """Whether it may still be computing."""
        return self.status.phase in ("Pending", "Running", "Unknown")

    @property
    def staying(self) -> bool:
        """Whether it runs or will, and nobody has deleted it."""
        return self.status.phase in ("Pending", "Running") and not self.metadata.deleting

    @property
    def ready(self) -> bool:
        """Whether it answers requests and will go on doing so.

        Who evicts a pod need not take back that it was ready, so that word alone is not enough.
        """
        runs = self.status.phase == "Running" and bool(self.status.pod_ip)
        return runs and holds(self.status.conditions, "Ready") and not self.metadata.deleting

    def container(self, name: str) -> ContainerStatus | None:
        """State of the container of that name, if the kubelet has reported it."""
        return next((status for status in self.status.container_statuses if status.name == name), None)

    def variable(self, container: str, name: str) -> str:
        """Value of an environment variable, empty for none."""
        variables = (each.env for each in self.spec.containers if each.name == container)
        return next((one.value for env in variables for one in env if one.name == name), "")


class Scale(_View, frozen=True):
    """Wanted replicas of a Deployment."""

    replicas: int = 1


class Deployment(_View, frozen=True):
    """The servers of a voice."""

    metadata: ObjectMetadata
    spec: Scale = Scale()


class Service(_View, frozen=True):
    """The Service before the servers."""

    metadata: ObjectMetadata


def view(kind: type[T], body: dict[str, Any]) -> T:
    """Read a Kubernetes object as one of the views."""
    return msgspec.convert(body, kind)


def holds(conditions: Iterable[ObjectCondition], type: str) -> bool:
    """Whether the condition of that type is True."""
    return any(condition.type == type and condition.status == "True" for condition in conditions)
