"""A namespace of a real API server with the operator's process beside it, and a scripted kubelet."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from rvc_operator.runtime.cache import Key, Kind
from rvc_operator.runtime.kube import Kube, NotFound
from tests.cluster.kubectl import Kubectl

from .kubelet import Kubelet
from .process import OperatorProcess

PATIENCE_SECONDS = 60
Body = dict[str, Any]


@dataclass
class World:
    """What an operator test acts on."""

    kube: Kube
    kubectl: Kubectl
    operator: OperatorProcess
    namespace: str
    kubelet: Kubelet
    look_seconds: ClassVar[float] = 0.05
    """Time between two looks at what is awaited."""

    async def create(self, kind: Kind, name: str, spec: Body) -> Body:
        """Create an object as a user."""
        manifest = {
            "apiVersion": kind.prefix.removeprefix("/apis/").removeprefix("/api/"),
            "kind": kind.kind,
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": spec,
        }
        return await self.kube.create(kind, manifest)

    async def get(self, kind: Kind, name: str) -> Body:
        """An object as it is now."""
        return await self.kube.get(Key(kind, self.namespace, name))

    async def all(self, kind: Kind) -> list[Body]:
        """All objects of a kind, by name."""
        bodies, _ = await self.kube.list(kind, self.namespace)
        return sorted(bodies, key=lambda body: body["metadata"]["name"])

    async def names(self, kind: Kind) -> list[str]:
        """Names of all objects of a kind."""
        return [body["metadata"]["name"] for body in await self.all(kind)]

    async def edit(self, kind: Kind, name: str, spec: Body) -> None:
        """Change the spec of an object as a user."""
        await self.kube.patch(Key(kind, self.namespace, name), {"spec": spec})

    async def delete(self, kind: Kind, name: str) -> None:
        """Delete an object as a user."""
        key = Key(kind, self.namespace, name)
        await self.kube.delete(key, (await self.kube.get(key))["metadata"]["uid"])

    async def until(self, what: str, holds: Callable[[], Awaitable[bool]]) -> None:
        """Wait for something to hold; fails with the operator's log."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not await holds():
            await asyncio.sleep(self.look_seconds)
            if time.monotonic() < end:
                continue
            states = [
                (body["metadata"]["name"], body.get("status"))
                for kind in (Kind.VOICE, Kind.CONVERSION)
                for body in await self.all(kind)
            ]
            raise AssertionError(f"never: {what}\n{states}\n{self.operator.log()[-4000:]}")

    async def until_ready(self, kind: Kind, name: str, status: str, reason: str) -> Body:
        """Wait for the Ready condition of an object to be so for its current spec; the object then."""
        found: Body = {}

        async def holds() -> bool:
            nonlocal found
            try:
                found = await self.get(kind, name)
            except NotFound:
                return False
            state = condition(found, "Ready")
            current = state.get("observedGeneration") == found["metadata"]["generation"]
            return current and (state["status"], state["reason"]) == (status, reason)

        await self.until(f"{kind.kind} {name} is Ready={status} {reason}", holds)
        return found

    async def versions(self) -> dict[Key, str]:
        """The resource version of everything that the operator may write."""
        found = {}
        for kind in (Kind.VOICE, Kind.CONVERSION, Kind.JOB, Kind.DEPLOYMENT, Kind.SERVICE):
            for body in await self.all(kind):
                found[Key(kind, self.namespace, body["metadata"]["name"])] = body["metadata"][
                    "resourceVersion"
                ]
        return found

    def events(self) -> list[str]:
        """Reasons of the events about our kinds, oldest first."""
        items = self.kubectl.json("get", "events.events.k8s.io", f"--namespace={self.namespace}")["items"]
        ours = [item for item in items if item.get("reportingController") == "voice.rvc.dev/rvc-operator"]
        ours.sort(key=lambda item: int(item["metadata"]["resourceVersion"]))
        return [item["reason"] for item in ours]


def condition(body: Body, type: str) -> Body:
    """A condition of an object, empty if it is not there."""
    conditions = body.get("status", {}).get("conditions", [])
    return next((one for one in conditions if one["type"] == type), {})
