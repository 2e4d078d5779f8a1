"""Conversions: observe, plan, apply; and making servers forget Conversions that were deleted."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from weakref import WeakValueDictionary

from rvc.contract import ConversionStatus
from rvc_operator.api.names import COMPONENT_LABEL, Component, server_name
from rvc_operator.api.objects import Deployment, Pod, view
from rvc_operator.plan import demand
from rvc_operator.plan.actions import ConversionPlan
from rvc_operator.plan.conversion import plan_conversion
from rvc_operator.plan.observed import Answer, ObservedConversion

from .cache import Body, Key, Kind, voice_of
from .kube import NotFound
from .pods import ServerUnavailable
from .shell import Shell

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Given:
    """A conversion that a server may be working on."""

    uid: str
    pod: Key
    pod_uid: str
    ip: str


class Conversions:
    """The reconciler of Conversions; it remembers who works on what, for the day that the object is
    deleted."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._given: dict[Key, _Given] = {}
        self._turns: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def reconcile(self, key: Key) -> float | None:
        """Bring one Conversion forward; seconds until it wants to be looked at again."""
        body = self._shell.cache.get(key)
        if body is not None and body["metadata"].get("deletionTimestamp"):
            body = None
        await self._forget_another(key, body)
        answer = await self._ask(key, body) if body is not None else None
        while body is not None:
            plan = self._plan(key, body, answer)
            try:
                if plan.start is None:
                    written = await self._write(key, body, plan)
                else:
                    # Until the assignment is in the cache, others would count the same place as free.
                    async with self._turn(key, body):
                        plan = self._plan(key, body, answer)
                        written = await self._write(key, body, plan)
            except NotFound:
                return None
            if not written:
                return 0.0
            refusal = await self._start(key, body, plan)
            if refusal is None:
                return plan.requeue_seconds
            body, answer = self._shell.cache.get(key), refusal
        return None

    async def _forget_another(self, key: Key, body: Body | None) -> None:
        """Stop what a deleted Conversion of this name left behind, as long as its server is there."""
        given = self._given.get(key)
        if given is None or (body is not None and body["metadata"]["uid"] == given.uid):
            return
        await self._stop(given)
        del self._given[key]

    async def _ask(self, key: Key, body: Body) -> Answer | None:
        assignment = body.get("status", {}).get("assignment")
        if assignment is None:
            self._given.pop(key, None)
            return None
        pod = Key(Kind.POD, key.namespace, assignment["pod"])
        given = _Given(body["metadata"]["uid"], pod, assignment["podUID"], assignment["podIP"])
        self._given[key] = given
        return await self._shell.pods.ask(given.ip, given.uid) if self._is_there(given) else None

    def _turn(self, key: Key, body: Body) -> asyncio.Lock:
        """Held by the one that gives out a place at the servers of a voice; it goes when nobody holds it."""
        return self._turns.setdefault((key.namespace, voice_of(Kind.CONVERSION, body)), asyncio.Lock())

    def _plan(self, key: Key, body: Body, answer: Answer | None) -> ConversionPlan:
        return plan_conversion(self._observe(key, body, answer), self._shell.config, self._shell.now())

    def _observe(self, key: Key, body: Body, answer: Answer | None) -> ObservedConversion:
        cache, voice = self._shell.cache, voice_of(Kind.CONVERSION, body)
        pods = [view(Pod, one) for one in cache.of_voice(Kind.POD, key.namespace, voice)]
        siblings = cache.of_voice(Kind.CONVERSION, key.namespace, voice)
        deployment = cache.get(Key(Kind.DEPLOYMENT, key.namespace, server_name(voice)))
        return ObservedConversion(
            body=body,
            voice=cache.get(Key(Kind.VOICE, key.namespace, voice)),
            deployment=view(Deployment, deployment) if deployment is not None else None,
            servers=tuple(
                pod for pod in pods if pod.metadata.labels.get(COMPONENT_LABEL) == Component.SERVER
            ),
            loads=demand.loads(one for one in siblings if one["metadata"]["uid"] != body["metadata"]["uid"]),
            answer=answer,
        )

    async def _write(self, key: Key, body: Body, plan: ConversionPlan) -> bool:
        """All but the start; False when it must be planned anew."""
        if plan.stop is not None and key in self._given:
            await self._stop(self._given[key])
        if not await self._shell.write_status(key, body, plan.status):
            return False
        if plan.remove:
            await self._shell.delete(key)
        await self._shell.tell(Kind.CONVERSION, body, plan.events)
        return True

    async def _start(self, key: Key, body: Body, plan: ConversionPlan) -> ConversionStatus | None:
        """Give the work out; a server that refuses it for good says so, anything else is asked about
        later."""
        if plan.start is None:
            return None
        assignment, request = plan.start
        uid, pod = body["metadata"]["uid"], Key(Kind.POD, key.namespace, assignment.pod)
        self._given[key] = _Given(uid, pod, assignment.pod_uid, assignment.pod_ip)
        status = await self._shell.pods.start(assignment.pod_ip, uid, request)
        failed = status is not None and status.state == "Failed"
        return status if failed else None

    async def _stop(self, given: _Given) -> None:
        """Ask the server to stop; one that cannot be asked must not keep the decision from being written."""
        if not self._is_there(given):
            return
        try:
            await self._shell.pods.stop(given.ip, given.uid)
        except ServerUnavailable as error:
            log.warning("conversion %s may run on for a while: %s", given.uid, error)

    def _is_there(self, given: _Given) -> bool:
        """Whether the pod may answer; one that has ended is gone, though its object may stay for days."""
        pod = self._shell.cache.get(given.pod)
        if pod is None or pod["metadata"]["uid"] != given.pod_uid:
            return False
        return pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
