"""Conversions that several servers share, decision by decision."""

from datetime import datetime
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from rvc.contract import ConversionState, ConversionStatus, FileCounts, FileFailure
from rvc_operator.api.objects import Pod
from rvc_operator.plan import demand
from rvc_operator.plan.actions import ConversionPlan
from rvc_operator.plan.observed import Answer, ObservedConversion, Silence

from . import factory
from .decisions import plan_conversion
from .factory import CONFIG, NOW, Body, after, deployment, message, seconds, server, state
from .manifests import conversion_spec, voice_spec
from .test_conversion_plan import available, given_to
from .test_serving_plan import REVISION

BATCH = {"input": {"prefix": "pvc://voices/inbox/"}, "parallelism": 4}
NEW = factory.conversion(conversion_spec(**BATCH))
POOL = tuple(server(name, REVISION) for name in "abcd")
RESULTS = "pvc://voices/results.json"


def voice(max_replicas: int = 4, conversions_per_replica: int = 4) -> Body:
    serving = {"maxReplicas": max_replicas, "conversionsPerReplica": conversions_per_replica}
    return available() | {"spec": voice_spec(serving=serving)}


def plan(body: Body, *, now: datetime = NOW, **observed: Any) -> ConversionPlan:
    everything = {"voice": voice(), "deployment": deployment(REVISION, 4), "servers": POOL} | observed
    return plan_conversion(ObservedConversion(body, **everything), CONFIG, now)


GIVEN = after(NEW, plan(NEW))


def running(succeeded: int = 0) -> ConversionStatus:
    return ConversionStatus(ConversionState.RUNNING, FileCounts(total=40, succeeded=succeeded))


def finished(succeeded: int = 10, *failed: str) -> ConversionStatus:
    failures = tuple(FileFailure(key, "AudioSilent", "is silent") for key in failed)
    counts = FileCounts(40, succeeded, len(failed))
    return ConversionStatus(ConversionState.FINISHED, counts, failures, results_uri=RESULTS)


BROKEN = ConversionStatus(ConversionState.FAILED, reason="StoreUnavailable", message="away", retriable=True)
FINAL = ConversionStatus(ConversionState.FAILED, reason="InputInvalid", message="no recordings")


def answers(*given: Answer) -> dict[int, Answer]:
    return dict(enumerate(given))


def test_each_shard_goes_to_a_server_of_its_own() -> None:
    first = plan(NEW)
    assert given_to(first) == ["a", "b", "c", "d"]
    assert [(request.shard.index, request.shard.count) for _, request in first.start] == [
        (0, 4),
        (1, 4),
        (2, 4),
        (3, 4),
    ]
    assert "4 are at work" in message(first)


def test_a_single_file_is_not_split() -> None:
    [(_, request)] = plan(factory.conversion(conversion_spec(parallelism=4))).start
    assert request.shard.count == 1


def test_a_server_that_is_ready_first_does_not_take_it_all() -> None:
    early = plan(NEW, servers=POOL[:1])
    assert given_to(early) == ["a", None, None, None]
    later = plan(after(NEW, early), answers=answers(running()))
    assert given_to(later) == ["a", "b", "c", "d"]
    assert [request.shard.index for _, request in later.start] == [1, 2, 3]


@pytest.mark.parametrize(("most", "expected"), [(1, ["a"] * 4), (2, ["a", "b", "a", "b"]), (3, list("abab"))])
def test_fewer_servers_do_several_shards_each(most: int, expected: list[str]) -> None:
    assert given_to(plan(NEW, voice=voice(most), servers=POOL[: min(most, 2)])) == expected


def test_what_others_do_on_a_server_counts() -> None:
    full = plan(NEW, voice=voice(4, 1), loads={"uid-a": 1, "uid-c": 1})
    assert given_to(full) == ["b", "d", None, None]
    assert state(full) == ("Unknown", "Converting")


def test_counts_are_sums_and_failures_keep_their_shard() -> None:
    heard = plan(GIVEN, answers=answers(running(3), finished(9, "b.wav"), running(1), Silence.UNREACHABLE))
    files = heard.status.files
    assert (files.total, files.succeeded, files.failed) == (40, 13, 1)
    assert [shard.finished for shard in heard.status.shards] == [False, True, False, False]
    assert given_to(heard) == ["a", None, "c", "d"]
    assert (heard.status.results_uri, heard.stop, heard.start) == (None, (), ())
    again = plan(after(GIVEN, heard), answers=answers(running(4)))
    assert (again.status.files.succeeded, again.status.files.failed) == (14, 1)
    assert [(one.key, one.shard) for one in again.status.failures] == [("b.wav", 1)]


def test_no_more_failures_are_kept_than_the_status_has_room_for() -> None:
    keys = [f"{number}.wav" for number in range(10)]
    heard = plan(GIVEN, answers=answers(*[finished(0, *keys)] * 3, running()))
    assert len(heard.status.failures) == 10
    assert heard.status.files.failed == 30


def test_the_end_is_that_of_all_shards() -> None:
    ended = plan(GIVEN, answers=answers(finished(), finished(9, "b.wav"), finished(), finished()))
    assert state(ended) == ("False", "PartiallyFailed")
    assert "39 of 40 files converted, 1 failed" in message(ended)
    assert ended.status.results_uri == RESULTS
    assert (given_to(ended), ended.stop) == ([None] * 4, ())
    body = GIVEN | {"spec": GIVEN["spec"] | {"successPolicy": "Any"}}
    assert state(plan(body, answers=answers(finished(9, "b.wav"), *[finished()] * 3))) == (
        "True",
        "Converted",
    )


def test_a_shard_that_is_done_makes_room_for_one_that_waits() -> None:
    early = after(NEW, plan(NEW, servers=POOL[:1]))
    moved = plan(early, servers=POOL[:1], answers=answers(finished()))
    assert given_to(moved) == [None, "a", None, None]
    assert [request.shard.index for _, request in moved.start] == [1]


def test_a_lost_server_costs_its_shard_alone() -> None:
    without_b = (POOL[0], *POOL[2:], server("e", REVISION))
    moved = plan(GIVEN, servers=without_b, answers=answers(running(3)))
    assert given_to(moved) == ["a", "e", "c", "d"]
    assert [request.shard.index for _, request in moved.start] == [1]
    assert (moved.status.failed_attempts, moved.status.files.succeeded) == (0, 3)


def test_servers_that_forgot_are_told_again_and_only_they() -> None:
    again = plan(GIVEN, answers=answers(running(), Silence.NOT_FOUND, running(), Silence.NOT_FOUND))
    assert again.start == (plan(NEW).start[1], plan(NEW).start[3])
    assert again.stop == ()


def test_an_outage_that_all_servers_meet_counts_once() -> None:
    failed = plan(GIVEN, answers=answers(finished(), *[BROKEN] * 3))
    assert state(failed) == ("Unknown", "ConversionRetrying")
    assert failed.status.failed_attempts == 1
    assert [shard.index for shard in failed.stop] == [1, 2, 3]
    assert given_to(failed) == [None] * 4
    assert failed.status.next_retry_time is not None
    body = after(GIVEN, failed)
    assert plan(body).start == ()
    resumed = plan(body, now=failed.status.next_retry_time)
    assert [request.shard.index for _, request in resumed.start] == [1, 2, 3], "what is done stays done"
    assert resumed.status.files.succeeded == 10


def test_what_cannot_be_mended_ends_all_shards() -> None:
    ended = plan(GIVEN, answers=answers(BROKEN, FINAL, running(), running()))
    assert state(ended) == ("False", "InputInvalid")
    assert [shard.index for shard in ended.stop] == [0, 1, 2, 3]


@pytest.mark.parametrize("changes", [{"suspend": True}, {"activeDeadlineSeconds": 60}])
def test_suspension_and_deadline_stop_all_servers(changes: Body) -> None:
    body, late = factory.edited(GIVEN, **changes), NOW + seconds(60)
    stopped = plan(body, now=late)
    assert [shard.index for shard in stopped.stop] == [0, 1, 2, 3]
    half = plan(after(body, stopped), now=late, answers={0: Silence.NOT_FOUND, 1: Silence.NOT_FOUND})
    assert [shard.index for shard in half.stop] == [2, 3]
    assert given_to(half)[:2] == [None] * 2


def test_the_division_does_not_change_under_way() -> None:
    early = after(NEW, plan(NEW, servers=POOL[:2]))
    later = plan(factory.edited(early, parallelism=2), answers=answers(running(), running()))
    assert [request.shard.count for _, request in later.start] == [4, 4]


def test_another_revision_of_the_voice_begins_anew_with_every_shard() -> None:
    new = "abcdef0123"
    half = after(GIVEN, plan(GIVEN, answers=answers(finished(9, "b.wav"), running(), running(), running())))
    waiting = plan(half, voice=available(new), deployment=deployment(new, 4), servers=())
    assert waiting.status.shards[0].finished, "nothing is given up before it can be begun again"
    old = POOL[1]
    servers = (old, *(server(name, new) for name in "wxyz"))
    serving = voice()["spec"]
    spoken = available(new) | {"spec": serving}
    lost = plan(half, voice=spoken, deployment=deployment(new, 4), servers=servers, answers={1: running()})
    assert given_to(lost) == ["w", "x", "y", "z"]
    assert [shard.index for shard in lost.stop] == [1]
    assert (lost.status.files, lost.status.failures) == (type(lost.status.files)(), ())
    assert lost.status.voice_revision == new


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (NEW, 4),
        (factory.conversion(conversion_spec(parallelism=4)), 1),
        (GIVEN, 4),
        (after(GIVEN, plan(GIVEN, answers=answers(finished(), running(), finished(), running()))), 2),
    ],
)
def test_servers_are_asked_for_by_what_is_to_do(body: Body, expected: int) -> None:
    assert demand.demands([body]) == (expected,)


class SharedConversion(RuleBasedStateMachine):
    """Servers that work, fail, vanish and forget; an operator that dies between any two of its acts."""

    @initialize()
    def begin(self) -> None:
        self.now = NOW
        self.body: Body = NEW
        self.pods: dict[str, Pod] = {}
        self.known: dict[tuple[str, int], ConversionStatus] = {}
        """What each server says about each shard that it has heard of, by the pod's name."""
        self.numbers = 0
        self.closed: set[int] = set()

    def plan(self) -> ConversionPlan:
        heard: dict[int, Answer] = {}
        for shard in self.body["status"].get("shards", []):
            pod = shard.get("assignment", {}).get("pod")
            if pod in self.pods:
                heard[shard["index"]] = self.known.get((pod, shard["index"]), Silence.NOT_FOUND)
        pool = tuple(self.pods.values())
        return plan(self.body, servers=pool, answers=heard, now=self.now)

    @rule(parts=st.integers(0, 3))
    def reconcile(self, parts: int = 3) -> None:
        """Plan and apply, up to the part at which the operator dies."""
        planned = self.plan()
        if parts > 0:
            for shard in planned.stop:
                assert shard.assignment is not None
                self.known.pop((shard.assignment.pod, shard.index), None)
        if parts > 1:
            self.body = after(self.body, planned)
        if parts > 2:
            for assignment, request in planned.start:
                status = finished() if request.shard.index in self.closed else running()
                self.known.setdefault((assignment.pod, request.shard.index), status)

    @rule()
    def a_server_comes(self) -> None:
        if len(self.pods) < 4:
            self.numbers += 1
            self.pods[f"s{self.numbers}"] = server(f"s{self.numbers}", REVISION)

    @rule(data=st.data())
    def a_server_goes(self, data: st.DataObject) -> None:
        if self.pods:
            gone = data.draw(st.sampled_from(sorted(self.pods)))
            del self.pods[gone]
            self.known = {key: value for key, value in self.known.items() if key[0] != gone}

    @rule(data=st.data())
    def a_server_ends_a_shard(self, data: st.DataObject) -> None:
        if self.known:
            pod, index = data.draw(st.sampled_from(sorted(self.known)))
            self.known[pod, index] = finished()
            self.closed.add(index)

    @rule(data=st.data())
    def a_server_forgets(self, data: st.DataObject) -> None:
        if self.known:
            del self.known[data.draw(st.sampled_from(sorted(self.known)))]

    @rule(suspend=st.booleans())
    def the_user_suspends_or_resumes(self, suspend: bool) -> None:
        self.body = factory.edited(self.body, suspend=suspend)

    @rule()
    def time_passes(self) -> None:
        self.now += seconds(30)

    @invariant()
    def done_is_what_servers_have_done(self) -> None:
        shards = self.body["status"].get("shards", [])
        done = {shard["index"] for shard in shards if shard["finished"]}
        assert done <= self.closed
        if "completionTime" in self.body["status"]:
            assert done == {0, 1, 2, 3}
            assert self.body["status"]["files"]["succeeded"] == 40

    def teardown(self) -> None:
        """Left alone with servers that work, it always ends well."""
        if not hasattr(self, "body"):
            return
        self.body = factory.edited(self.body, suspend=False)
        for _ in range(12):
            self.a_server_comes()
            self.reconcile()
            for key in list(self.known):
                self.known[key] = finished()
                self.closed.add(key[1])
        assert state(self.plan()) == ("True", "Converted"), self.body["status"]


TestSharedConversion = SharedConversion.TestCase
TestSharedConversion.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
