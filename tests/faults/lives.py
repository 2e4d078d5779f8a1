"""Random lives of two voices on a real API server: users, trainers, faults, kills and time, in any order.

Operator, proxy and kubelet live in a thread of their own and never wait for a rule: what a rule does comes at
any moment of their work. So the same rules may find another world next time; what is asserted holds in all.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any, ClassVar, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from rvc.contract import TrainingResult, encode
from rvc_operator.api.names import COMPONENT_LABEL, VOICE_LABEL, Component
from rvc_operator.api.reasons import ConditionType
from rvc_operator.runtime.cache import Key, Kind
from rvc_operator.runtime.kube import Conflict, NotFound
from rvc_operator.runtime.operator import utc_now
from tests.cluster.control_plane import ControlPlane
from tests.operator.kubelet import Act, Exit, Refuse, Work
from tests.operator.manifests import conversion_spec, voice_spec
from tests.operator.stand_ins import Trainer
from tests.operator.world import condition

from .places import Place, places
from .proxy import Asked, Dropped, Exchange, Fault, drop, lose_answer, refuse, repeat_events, say_gone

T = TypeVar("T")
Body = dict[str, Any]
NAMES = st.sampled_from(["alice", "bob"])
BACKOFF_LIMIT = 2
IDLE = timedelta(minutes=11)
"""Longer than a server is kept for the next Conversion."""
MOST_FAILURES = BACKOFF_LIMIT + 2
"""One more than the limit ends it; memory that runs out is tried once more in any case."""
ACTS: tuple[Act, ...] = (
    Work(),
    Exit(),
    Exit(1),
    Exit(13, encode(TrainingResult(message="away"))),
    Exit(137, reason="OOMKilled"),
    Refuse("ImagePullBackOff", "no such image"),
)
TROUBLES: dict[str, Fault] = {
    "503": refuse(503, "ServiceUnavailable"),
    "429": refuse(429, "TooManyRequests"),
    "409": refuse(409, "Conflict"),
    "dropped": drop,
    "answers lost": lose_answer,
}
WATCHES: dict[str, Fault] = {"410": say_gone, "repeated": repeat_events(3), "dropped": drop}
CHILDREN = (Kind.JOB, Kind.DEPLOYMENT, Kind.SERVICE, Kind.POD)


@dataclass
class Clock:
    """The operator's time of day, which only ever goes forward."""

    ahead: timedelta = timedelta()

    def __call__(self) -> datetime:
        return utc_now() + self.ahead


class Stage:
    """The thread in which everything but the rules lives."""

    def __init__(self, control_plane: ControlPlane) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._context = places(control_plane)
        self.places = self.do(self._context.__aenter__())

    def do(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Have something done there, and wait for it."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def close(self) -> None:
        """End it; raises AssertionError if a voice ever had two live Jobs."""
        self.do(self._context.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


class Lives(RuleBasedStateMachine):
    """One namespace, one operator, and all that can happen to them."""

    stage: ClassVar[Stage]
    place: Place

    @initialize()
    def begin(self) -> None:
        self.clock, self.numbers, self.seen = Clock(), count(1), list[str]()
        self._open = self.stage.places.open(self.clock, resync_seconds=2.0)
        self.stage.do(self._begin())

    async def _begin(self) -> None:
        self.place = await self._open.__aenter__()
        self._watching = asyncio.create_task(self._watch())
        self.place.operator.start()

    async def _watch(self) -> None:
        """Look at every state that any voice ever has."""
        path = f"{Kind.VOICE.prefix}/namespaces/{self.place.namespace}/{Kind.VOICE.plural}"
        async for event in self.stage.places.upstream.watch(path):
            status = event["object"].get("status", {})
            said, artifact = condition(event["object"], ConditionType.READY), status.get("artifact")
            serving = status.get("revision", {}).get("serving")
            if said.get("status") == "True" and (artifact is None or serving not in artifact["uri"]):
                self.seen.append(f"ready without a manifest: {status}")
            if status.get("training", {}).get("failures", 0) > MOST_FAILURES:
                self.seen.append(f"more failures than allowed: {status['training']}")

    # Users.

    @rule(name=NAMES, delete=st.booleans(), eager=st.booleans())
    def create_a_voice(self, name: str, delete: bool, eager: bool) -> None:
        serving = {"minReplicas": int(eager), "maxReplicas": 2}
        spec = voice_spec(deletionPolicy="Delete" if delete else "Retain", serving=serving)
        # Pods are dated by the API server, whose time of day does not jump with the operator's.
        spec["training"] |= {"backoffLimit": BACKOFF_LIMIT, "pendingDeadlineSeconds": 604800}
        self._try(self.place.create(Kind.VOICE, name, spec))

    @rule(name=NAMES, revision=st.sampled_from("ab"))
    def retrain(self, name: str, revision: str) -> None:
        self._try(self.place.edit(Kind.VOICE, name, {"dataset": {"revision": revision}}))

    @rule(name=NAMES, suspend=st.booleans())
    def suspend_or_resume_a_voice(self, name: str, suspend: bool) -> None:
        self._try(self.place.edit(Kind.VOICE, name, {"suspend": suspend}))

    @rule(name=NAMES, model=st.sampled_from(["Abacus", "CPU"]))
    def make_or_mend_a_mistake(self, name: str, model: str) -> None:
        self._try(self.place.edit(Kind.VOICE, name, {"accelerator": {"model": model}}))

    @rule(name=NAMES)
    def delete_a_voice(self, name: str) -> None:
        self._try(self.place.delete(Kind.VOICE, name))

    @rule(name=NAMES, folder=st.booleans())
    def create_a_conversion(self, name: str, folder: bool) -> None:
        batch = {"input": {"prefix": "pvc://voices/inbox/"}, "parallelism": 2} if folder else {}
        spec = conversion_spec(name, **batch)
        self._try(self.place.create(Kind.CONVERSION, f"c{next(self.numbers)}", spec))

    @rule(suspend=st.booleans())
    def suspend_or_resume_a_conversion(self, suspend: bool) -> None:
        name = self._oldest(Kind.CONVERSION)
        if name:
            self._try(self.place.edit(Kind.CONVERSION, name, {"suspend": suspend}))

    @rule()
    def delete_a_conversion(self) -> None:
        name = self._oldest(Kind.CONVERSION)
        if name:
            self._try(self.place.delete(Kind.CONVERSION, name))

    # Trainers, servers and nodes.

    @rule(act=st.sampled_from(ACTS))
    def the_next_trainer_will(self, act: Act) -> None:
        self.place.kubelet.script.append(act)

    @rule(act=st.sampled_from([act for act in ACTS if isinstance(act, Exit)]))
    def a_trainer_ends(self, act: Exit) -> None:
        self._try(self._end_trainers(act))

    @rule(kind=st.sampled_from([Kind.POD, Kind.JOB, Kind.DEPLOYMENT]))
    def somebody_deletes(self, kind: Kind) -> None:
        name = self._oldest(kind)
        if name:
            self._try(self.place.delete(kind, name))

    @rule()
    def a_pod_is_evicted(self) -> None:
        name = self._oldest(Kind.POD)
        if name:
            status = {"phase": "Failed", "reason": "Evicted", "message": "the node needs its memory"}
            key = Key(Kind.POD, self.place.namespace, name)
            self._try(self.place.kube.patch(key, {"status": status}, "status"))

    @rule(minutes=st.sampled_from([1, 11, 61]))
    def time_passes(self, minutes: int) -> None:
        self.clock.ahead += timedelta(minutes=minutes)

    @rule()
    def everything_settles(self) -> None:
        """Some lives are quiet."""
        self.stage.do(asyncio.sleep(0.5))

    # The API server and the operator.

    @rule(
        what=st.sampled_from(sorted(TROUBLES)),
        every=st.sampled_from([1, 3]),
        watches=st.sampled_from(["", *WATCHES]),
    )
    def the_connection_is_bad(self, what: str, every: int, watches: str) -> None:
        numbers = count()

        def choose(asked: Asked) -> Fault | None:
            if asked.watch:
                return WATCHES.get(watches)
            return TROUBLES[what] if next(numbers) % every == 0 else None

        self.place.proxy.choose = choose

    @rule()
    def the_connection_is_good(self) -> None:
        self.place.proxy.choose = lambda asked: None

    @rule()
    def watches_go_mute(self) -> None:
        self.stage.do(self._mute())

    @rule(more=st.integers(1, 4), after=st.booleans())
    def the_operator_is_killed_at_a_write(self, more: int, after: bool) -> None:
        number = len(self.place.proxy.writes) + more

        async def kill(exchange: Exchange) -> Any:
            if after:
                await exchange.forward()
            self.place.operator.kill()
            asyncio.get_running_loop().create_task(self._restart())
            raise Dropped

        self.place.proxy.choose = lambda asked: kill if asked.write == number else None

    @invariant()
    def nothing_was_seen_that_must_not_be(self) -> None:
        assert getattr(self, "seen", []) == []
        assert self.stage.places.doubled == []

    def teardown(self) -> None:
        if hasattr(self, "place"):
            try:
                self.stage.do(self._end_well())
                assert self.seen == []
            finally:
                self.stage.do(self._close())

    async def _end_well(self) -> None:
        """Left alone with what was asked for, all comes right, nothing is written any more, and all goes."""
        place = self.place
        place.proxy.choose = lambda asked: None
        place.kubelet.script.clear()
        await self._restart()
        for name in await place.names(Kind.VOICE):
            with suppress(NotFound):
                # A person's answer to whatever stopped it.
                await place.edit(Kind.VOICE, name, {"suspend": False, "accelerator": {"model": "CPU"}})
                await place.edit(Kind.VOICE, name, {"training": {"backoffLimit": BACKOFF_LIMIT - 1}})
        for name in await place.names(Kind.CONVERSION):
            with suppress(NotFound):
                await place.edit(Kind.CONVERSION, name, {"suspend": False})
        await place.until("every voice is served as it is wanted, every conversion is done", self._right)
        await place.until("no trainer of a finished voice runs", self._no_trainer_runs)
        await self._quiet()
        self.clock.ahead += IDLE
        await place.until("voices at rest have the servers that are kept", self._servers_that_are_kept)
        for name in await place.names(Kind.VOICE):
            await place.edit(Kind.VOICE, name, {"suspend": True})
        await place.until("no pod of a suspended voice runs", self._no_pod_runs)
        for kind in (Kind.CONVERSION, Kind.VOICE):
            for name in await place.names(kind):
                with suppress(NotFound):
                    await place.delete(kind, name)
        await place.until("nothing is left of what was deleted", self._nothing_is_left)

    async def _right(self) -> bool:
        self._hurry()
        await self._end_trainers(Exit())
        voices = await self.place.all(Kind.VOICE)
        right = all(
            condition(body, "Ready").get("reason") == "Available"
            and condition(body, "Trained").get("reason") == "Published"
            and body["status"]["observedGeneration"] == body["metadata"]["generation"]
            for body in voices
        )
        names = {body["metadata"]["name"] for body in voices}
        waiting = [
            body["metadata"]["name"]
            for body in await self.place.all(Kind.CONVERSION)
            if body["spec"]["voiceModelRef"]["name"] in names
            and "completionTime" not in body.get("status", {})
        ]
        deleting = any("deletionTimestamp" in body["metadata"] for body in voices)
        return right and not waiting and not deleting

    def _hurry(self) -> None:
        """What waits for its time need not: neither pods nor people are asked."""
        self.clock.ahead += timedelta(seconds=2)

    async def _quiet(self) -> None:
        """Nothing changes, so nothing is written, not even by a new operator."""
        place = self.place

        async def silent() -> bool:
            before = await place.versions()
            await asyncio.sleep(0.6)
            return await place.versions() == before

        await place.until("all is written", silent)
        written = len(place.proxy.writes)
        await self._restart()
        listed = place.operator.operator
        assert listed is not None

        async def looked() -> bool:
            return listed.seconds_since_listing() is not None

        await place.until("the new operator has listed everything", looked)
        await place.create(Kind.VOICE, "marker", voice_spec(suspend=True))
        await place.until_ready(Kind.VOICE, "marker", "False", "Suspended")
        vain = [str(asked) for asked in place.proxy.writes[written:] if "marker" not in asked.path]
        assert [each for each in vain if not each.endswith("/events")] == []

    async def _running(self) -> Counter[tuple[str, str]]:
        """Pods that hold what they asked for, by voice and component."""
        return Counter(
            (body["metadata"]["labels"][VOICE_LABEL], body["metadata"]["labels"][COMPONENT_LABEL])
            for body in await self.place.all(Kind.POD)
            if body["status"].get("phase") in ("Pending", "Running")
        )

    async def _no_pod_runs(self) -> bool:
        return not await self._running()

    async def _no_trainer_runs(self) -> bool:
        return Component.TRAINER not in {component for _, component in await self._running()}

    async def _servers_that_are_kept(self) -> bool:
        kept = {
            (body["metadata"]["name"], Component.SERVER): body["spec"]["serving"]["minReplicas"]
            for body in await self.place.all(Kind.VOICE)
        }
        return await self._running() == Counter(kept)

    async def _nothing_is_left(self) -> bool:
        if await self.place.names(Kind.VOICE) or await self.place.names(Kind.CONVERSION):
            return False
        left = [body for kind in CHILDREN for body in await self.place.all(kind)]
        # The Job of a clean-up stays for its log.
        return all(
            body["metadata"].get("labels", {}).get(COMPONENT_LABEL) == "clean-up"
            or body["metadata"]["name"] == "kubernetes"
            for body in left
        )

    async def _end_trainers(self, act: Exit) -> None:
        for uid, (name, stand_in) in list(self.place.kubelet.pods.items()):
            if isinstance(stand_in, Trainer) or (stand_in is None and await self._pending(name)):
                with suppress(NotFound, KeyError):
                    await self.place.kubelet.finish(uid, act)

    async def _pending(self, name: str) -> bool:
        try:
            body = await self.place.get(Kind.POD, name)
        except NotFound:
            return False
        return body["status"].get("phase") == "Pending"

    async def _restart(self) -> None:
        await self.place.operator.stop()
        self.place.operator.start()

    async def _mute(self) -> None:
        self.place.proxy.mute_watches()

    async def _close(self) -> None:
        self._watching.cancel()
        await asyncio.gather(self._watching, return_exceptions=True)
        await self._open.__aexit__(None, None, None)

    def _oldest(self, kind: Kind) -> str:
        return next(iter(self.stage.do(self.place.names(kind))), "")

    def _try(self, doing: Coroutine[Any, Any, Any]) -> None:
        """Do what may be impossible by now."""
        with suppress(NotFound, Conflict):
            self.stage.do(doing)
