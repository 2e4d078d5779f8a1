"""Conversions: observe, plan, apply; and making servers forget Conversions that were deleted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from weakref import WeakValueDictionary

from rvc.contract import ConversionState
from rvc_operator.api.conversion import ConversionStatus, ShardStatus
from rvc_operator.api.names import COMPONENT_LABEL, Component, server_name
from rvc_operator.api.objects import Deployment, Pod, view
from rvc_operator.plan import demand
from rvc_operator.plan.actions import ConversionPlan
from rvc_operator.plan.conversion import plan_conversion
from rvc_operator.plan.observed import Answer, ObservedConversion

from .cache import Body, Key, Kind, voice_of
from .kube import NotFound
from .pods import Peer, ServerUnavailable
from .shell import Shell

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Given:
    """A shard of a conversion that a server may be working on."""

    uid: str
    shard: int
    pod: Key
    pod_uid: str
    ip: str

    @classmethod
    def of(cls, key: Key, body: Body, shard: ShardStatus) -> _Given | None:
        """What has been given out of a shard; None for one without a server."""
        one = shard.assignment
        if one is None:
            return None
        pod = Key(Kind.POD, key.namespace, one.pod)
        return cls(body["metadata"]["uid"], shard.index, pod, one.pod_uid, one.pod_ip)

    @property
    def peer(self) -> Peer:
        """The pod as it is spoken to."""
        return Peer(self.ip, self.pod_uid)


class Conversions:
    """The reconciler of Conversions; it remembers who works on what, for the day that the object is
    deleted."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._given: dict[Key, tuple[_Given, ...]] = {}
        self._left: dict[Key, tuple[_Given, ...]] = {}
        """What Conversions that are no more had given out, until its servers have forgotten it."""
        self._turns: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def reconcile(self, key: Key) -> float | None:
        """Bring one Conversion forward; seconds until it wants to be looked at again."""
        body = self._shell.cache.get(key)
        if body is not None and body["metadata"].get("deletionTimestamp"):
            body = None
        await self._forget_another(key, body)
        seconds = await self._bring_forward(key, body)
        if key not in self._left:
            return seconds
        again = self._shell.config.poll_seconds
        return again if seconds is None else min(seconds, again)

    async def _bring_forward(self, key: Key, body: Body | None) -> float | None:
        answers = await self._ask(key, body) if body is not None else {}
        while body is not None:
            plan = self._plan(key, body, answers)
            try:
                if not plan.start:
                    written = await self._write(key, body, plan)
                else:
                    # Until the assignments are in the cache, others would count the same places as free.
                    async with self._turn(key, body):
                        plan = self._plan(key, body, answers)
                        written = await self._write(key, body, plan)
            except NotFound:
                return None
            if not written:
                return 0.0
            refusals = await self._start(key, body, plan)
            if not refusals:
                return plan.requeue_seconds
            body, answers = self._shell.cache.get(key), refusals
        return None

    async def _forget_another(self, key: Key, body: Body | None) -> None:
        """Stop what a deleted Conversion of this name left behind, until its servers know or have gone."""
        given = self._given.get(key, ())
        left = [one for one in given if body is None or body["metadata"]["uid"] != one.uid]
        if left:
            del self._given[key]
        unheard = await self._stop((*self._left.pop(key, ()), *left))
        if unheard:
            self._left[key] = unheard

    async def _ask(self, key: Key, body: Body) -> Mapping[int, Answer]:
        """What servers say about the shards that they were given, all asked at once."""
        shards = ConversionStatus.from_object(body).shards
        self._remember(key, body, shards)
        there = [given for given in self._given.get(key, ()) if self._is_there(given)]
        ask = self._shell.pods.ask
        answers = await asyncio.gather(*(ask(given.peer, given.uid, given.shard) for given in there))
        return {given.shard: answer for given, answer in zip(there, answers, strict=True)}

    def _remember(self, key: Key, body: Body, shards: Iterable[ShardStatus]) -> None:
        given = tuple(filter(None, (_Given.of(key, body, shard) for shard in shards)))
        if given:
            self._given[key] = given
        else:
            self._given.pop(key, None)

    def _turn(self, key: Key, body: Body) -> asyncio.Lock:
        """Held by the one that gives out a place at the servers of a voice; it goes when nobody holds it."""
        return self._turns.setdefault((key.namespace, voice_of(Kind.CONVERSION, body)), asyncio.Lock())

    def _plan(self, key: Key, body: Body, answers: Mapping[int, Answer]) -> ConversionPlan:
        return plan_conversion(self._observe(key, body, answers), self._shell.config, self._shell.now())

    def _observe(self, key: Key, body: Body, answers: Mapping[int, Answer]) -> ObservedConversion:
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
            answers=answers,
        )

    async def _write(self, key: Key, body: Body, plan: ConversionPlan) -> bool:
        """All but the start; False when it must be planned anew."""
        await self._stop(filter(None, (_Given.of(key, body, shard) for shard in plan.stop)))
        if not await self._shell.write_status(key, body, plan.status):
            return False
        if plan.remove:
            await self._shell.delete(key)
        await self._shell.tell(Kind.CONVERSION, body, plan.events)
        return True

    async def _start(self, key: Key, body: Body, plan: ConversionPlan) -> Mapping[int, Answer]:
        """Give the work out; servers that refuse it for good say so, anything else is asked about later."""
        self._remember(key, body, plan.status.shards)
        start, uid = self._shell.pods.start, body["metadata"]["uid"]
        answers = await asyncio.gather(
            *(start(Peer(one.pod_ip, one.pod_uid), uid, request) for one, request in plan.start)
        )
        return {
            request.shard.index: answer
            for (_, request), answer in zip(plan.start, answers, strict=True)
            if answer is not None and answer.state is ConversionState.FAILED
        }

    async def _stop(self, given: Iterable[_Given]) -> tuple[_Given, ...]:
        """Ask servers to stop, all at once; what could not be said to one that is there.

        One that cannot be asked must not keep the decision from being written."""
        there = [one for one in given if self._is_there(one)]
        heard = await asyncio.gather(*map(self._stop_one, there))
        return tuple(one for one, well in zip(there, heard, strict=True) if not well)

    async def _stop_one(self, given: _Given) -> bool:
        try:
            await self._shell.pods.stop(given.peer, given.uid, given.shard)
        except ServerUnavailable as error:
            log.warning("conversion %s may run on for a while: %s", given.uid, error)
            return False
        return True

    def _is_there(self, given: _Given) -> bool:
        """Whether the pod may answer; one that has ended is gone, though its object may stay for days."""
        pod = self._shell.cache.get(given.pod)
        if pod is None or pod["metadata"]["uid"] != given.pod_uid:
            return False
        return pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
