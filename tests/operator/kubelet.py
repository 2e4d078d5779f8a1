"""A kubelet on a script: it has no node, but writes into pods' statuses what one would.

Pods come from the real Job and Deployment controllers. A trainer does what the next act of the test's script
says; a server runs and is ready. Both get a stand-in that listens on the pod's IP.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import msgspec

from rvc import contract
from rvc.contract import Metric, TrainingRequest, TrainingResult
from rvc.proof import OPERATOR_KEY_VARIABLE, Guard
from rvc_operator.api.names import COMPONENT_LABEL, MANAGED_BY_LABEL, MANAGER
from rvc_operator.runtime.cache import Key, Kind
from rvc_operator.runtime.kube import Kube, NotFound

from .stand_ins import Behaviour, Server, StandIn, Trainer

DIGEST = "sha256:" + "ab" * 32
Body = dict[str, Any]


@dataclass(frozen=True)
class Exit:
    """The trainer ends with a code and a termination message; 0 without one publishes a voice."""

    code: int = 0
    message: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Work:
    """The trainer runs until the test ends it."""


@dataclass(frozen=True)
class Refuse:
    """The container does not start: a waiting reason and its message."""

    reason: str
    message: str


@dataclass(frozen=True)
class Hold:
    """The pod is not started: a condition of it is False."""

    type: str
    reason: str
    message: str


Act = Exit | Work | Refuse | Hold


@dataclass
class Kubelet:
    """Plays all pods of one namespace."""

    kube: Kube
    namespace: str
    script: deque[Act] = field(default_factory=deque)
    """Acts of the trainers to come, one an attempt; when it is empty, they publish at once."""
    cleaners_do: Act = field(default_factory=lambda: Exit(message="{}"))
    """What every clean-up does."""
    cleaned: list[str] = field(default_factory=list)
    """Pods of clean-ups that have succeeded."""
    servers_do: Behaviour = field(default_factory=Behaviour)
    """What all servers make of their conversions."""
    pods: dict[str, tuple[str, StandIn | None]] = field(default_factory=dict)
    """By uid: name, and what listens on the pod's IP."""

    async def run(self) -> None:
        """Look at the pods again and again; cancel to end."""
        selector = f"{MANAGED_BY_LABEL}={MANAGER}"
        try:
            while True:
                bodies, _ = await self.kube.list(Kind.POD, self.namespace, selector)
                await self.see(bodies)
                await asyncio.sleep(0.05)
        finally:
            await self.stop()

    async def stop(self) -> None:
        """Nothing listens any more."""
        for _, stand_in in self.pods.values():
            if stand_in is not None:
                await stand_in.stop()

    def trainer(self) -> Trainer:
        """The trainer that started last."""
        return [one for _, one in self.pods.values() if isinstance(one, Trainer)][-1]

    def servers(self) -> dict[str, Server]:
        """Servers that run, by the name of their pod."""
        return {name: one for name, one in self.pods.values() if isinstance(one, Server)}

    async def end(self, act: Exit) -> None:
        """End the trainer that started last."""
        await self.finish([uid for uid, (_, one) in self.pods.items() if isinstance(one, Trainer)][-1], act)

    async def finish(self, uid: str, act: Exit) -> None:
        """End a pod."""
        name, _ = self.pods[uid]
        body = await self.kube.get(Key(Kind.POD, self.namespace, name))
        await self._end(body, act)

    async def see(self, bodies: list[Body]) -> None:
        """Start the pods that are new, and end those that are no more."""
        there = {body["metadata"]["uid"]: body for body in bodies}
        for uid in set(self.pods) - set(there):
            _, stand_in = self.pods.pop(uid)
            if stand_in is not None:
                await stand_in.stop()
        for uid, body in there.items():
            if uid not in self.pods:
                name = body["metadata"]["name"]
                try:
                    self.pods[uid] = (name, await self._start(body))
                except NotFound:
                    # Deleted between the listing and the write.
                    self.pods[uid] = (name, None)

    async def _start(self, body: Body) -> StandIn | None:
        if body["metadata"]["labels"][COMPONENT_LABEL] == "server":
            server = Server(guard=_guard(body), behaviour=self.servers_do)
            await server.start()
            ready = not (self.servers_do.corrupt or self.servers_do.loading)
            await self._write(body, _running(server.ip, "server", ready=ready))
            return server
        if body["metadata"]["labels"][COMPONENT_LABEL] == "clean-up":
            act: Act = self.cleaners_do
        else:
            act = self.script.popleft() if self.script else Exit()
        match act:
            case Hold(type, reason, message):
                condition = {"type": type, "status": "False", "reason": reason, "message": message}
                await self._write(body, {"phase": "Pending", "conditions": [condition]})
                return None
            case Refuse(reason, message):
                state = {"waiting": {"reason": reason, "message": message}}
                await self._write(
                    body, {"phase": "Pending", "containerStatuses": [_container("trainer", state)]}
                )
                return None
            case Exit():
                await self._end(body, act)
                if act is self.cleaners_do and act.code == 0:
                    self.cleaned.append(body["metadata"]["name"])
                return None
        trainer = Trainer(guard=_guard(body))
        await trainer.start()
        await self._write(body, _running(trainer.ip, "trainer"))
        return trainer

    async def _end(self, body: Body, act: Exit) -> None:
        message = act.message or (published(body) if act.code == 0 else "")
        terminated = {"exitCode": act.code, "message": message, "reason": act.reason or "Completed"}
        phase = "Succeeded" if act.code == 0 else "Failed"
        status = {"phase": phase, "containerStatuses": [_container("trainer", {"terminated": terminated})]}
        await self._write(body, status)

    async def _write(self, body: Body, status: Body) -> None:
        key = Key(Kind.POD, self.namespace, body["metadata"]["name"])
        await self.kube.patch(key, {"status": status}, "status")


def published(body: Body) -> str:
    """Termination message of a trainer that did what its request says."""
    environment = {one["name"]: one.get("value") for one in body["spec"]["containers"][0]["env"]}
    request = contract_request(environment[contract.TRAINING_REQUEST_VARIABLE])
    return contract.encode(
        TrainingResult(request.artifact_uri, DIGEST, 12345, metrics=(Metric("similarity", "0.91"),))
    )


def _guard(body: Body) -> Guard:
    """What a pod believes, by its spec and its uid."""
    environment = {one["name"]: one.get("value") for one in body["spec"]["containers"][0]["env"]}
    return Guard(environment[OPERATOR_KEY_VARIABLE], body["metadata"]["uid"])


def contract_request(text: str) -> TrainingRequest:
    """The request that a trainer was given."""
    return msgspec.json.decode(text, type=TrainingRequest)


def _running(ip: str, container: str, ready: bool = True) -> Body:
    return {
        "phase": "Running",
        "podIP": ip,
        "conditions": [{"type": "Ready", "status": str(ready)}],
        "containerStatuses": [_container(container, {"running": {}}, ready)],
    }


def _container(name: str, state: Body, ready: bool = False) -> Body:
    return {"name": name, "state": state, "ready": ready, "restartCount": 0, "image": "test", "imageID": ""}
