"""What holds whatever happens: random users, trainers, mishaps, crashes between writes, and time.

The cluster is a few dictionaries; the plans are the real ones, applied in the runtime's order, which may be
cut off after any of its parts, as by a kill.
"""

from datetime import datetime
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from rvc.contract import TrainingResult, encode
from rvc_operator.api.objects import Deployment, Job, Pod, view
from rvc_operator.plan.actions import VoicePlan
from rvc_operator.plan.observed import ObservedVoice

from . import factory
from .decisions import plan_voice
from .factory import CONFIG, DIGEST, NOW, Body, after, job, seconds, state, trainer
from .manifests import voice_spec

PARTS = 3
"""Children, status, deletions: the parts of applying a plan."""
EXITS = [(0, ""), (1, ""), (10, ""), (13, ""), (137, "OOMKilled"), (143, "")]


class VoiceLife(RuleBasedStateMachine):
    """One VoiceModel under all that can happen to it."""

    def __init__(self) -> None:
        super().__init__()
        self.now: datetime = NOW
        self.body: Body = factory.voice()
        self.jobs: dict[str, Job] = {}
        self.pods: dict[str, Pod] = {}
        self.deployment: Deployment | None = None
        self.most_live = 0

    def plan(self) -> VoicePlan:
        observed = ObservedVoice(
            self.body,
            jobs=tuple(self.jobs.values()),
            trainers=tuple(self.pods.values()),
            deployment=self.deployment,
        )
        return plan_voice(observed, CONFIG, self.now)

    @rule(parts=st.integers(0, PARTS))
    def reconcile(self, parts: int = PARTS) -> None:
        """Plan and apply, up to the part at which the operator dies."""
        plan = self.plan()
        if parts > 0:
            self._create(plan)
        if parts > 1:
            self.body = after(self.body, plan)
        if parts > 2:
            for name in plan.delete:
                self._remove(name)

    @rule(number=st.sampled_from([1, 15, 100, 700]))
    def time_passes(self, number: int) -> None:
        self.now += seconds(number)

    @precondition(lambda self: self._running())
    @rule(end=st.sampled_from(EXITS))
    def trainer_ends(self, end: tuple[int, str]) -> None:
        code, reason = end
        name = self._running()[0]
        uri = f"pvc://voices/models/test/alice/{name.split('-')[-2]}/"
        message = encode(TrainingResult(uri, DIGEST, 1)) if code == 0 else ""
        phase = "Succeeded" if code == 0 else "Failed"
        self.pods[name] = trainer(name, phase, exit_code=code, reason=reason, message=message)
        self.jobs[name] = job(name, ended="Complete" if code == 0 else "Failed", created=self.now)

    @precondition(lambda self: self._running())
    @rule()
    def pod_vanishes_with_its_node(self) -> None:
        name = self._running()[0]
        del self.pods[name]
        self.jobs[name] = job(name, ended="Failed", created=self.now)

    @precondition(lambda self: self.jobs)
    @rule()
    def somebody_deletes_a_job(self) -> None:
        self._remove(next(iter(self.jobs)))

    @rule(suspend=st.booleans())
    def user_suspends_or_resumes(self, suspend: bool) -> None:
        self.body = factory.edited(self.body, suspend=suspend)

    @rule(revision=st.sampled_from(["a", "b"]))
    def user_changes_the_dataset(self, revision: str) -> None:
        uri = self.body["spec"]["dataset"]["uri"]
        self.body = factory.edited(self.body, dataset={"uri": uri, "revision": revision})

    @rule(limit=st.integers(0, 3))
    def user_changes_the_limit(self, limit: int) -> None:
        training = voice_spec()["training"] | {"backoffLimit": limit}
        self.body = factory.edited(self.body, training=training)

    @rule()
    def user_makes_a_mistake_and_mends_it(self) -> None:
        self.body = factory.edited(self.body, accelerator={"model": "Abacus"})
        self.reconcile()
        self.body = factory.edited(self.body, accelerator={"model": "CPU"})

    @invariant()
    def at_most_one_attempt_is_live(self) -> None:
        assert len([one for one in self.jobs.values() if not one.finished]) <= 1

    @invariant()
    def ready_means_published(self) -> None:
        plan = self.plan()
        if state(plan) == ("True", "Available"):
            assert plan.status.artifact is not None
            assert plan.status.revision.serving is not None
            assert plan.status.revision.serving in plan.status.artifact.uri

    @invariant()
    def no_more_failures_than_allowed(self) -> None:
        training = self.body["status"].get("training", {})
        # One more than the limit ends it; memory that runs out is tried once more in any case.
        assert training.get("failures", 0) <= 3 + 2

    @invariant()
    def a_plan_that_was_carried_out_asks_for_nothing_more(self) -> None:
        plan = self.plan()
        if plan.create or plan.delete or after(self.body, plan) != self.body:
            return
        assert self.plan() == plan
        assert plan.events == ()

    @invariant()
    def a_stalled_or_suspended_voice_runs_nothing_once_it_is_written_down(self) -> None:
        plan = self.plan()
        settled = after(self.body, plan) == self.body and not plan.delete
        at_rest = state(plan) == ("False", "Suspended") or state(plan, "Stalled") is not None
        if settled and at_rest and state(plan) != ("False", "InvalidSpec"):
            assert not any(not one.finished for one in self.jobs.values())

    def teardown(self) -> None:
        """Left alone with trainers that succeed, it always ends well, and then is quiet."""
        # An end that has not been looked at yet may be final; the edit below is a person's answer to it. An
        # operator that died before it wrote a Job down finds it first, and then its end.
        for _ in range(2):
            self.reconcile()
        self.body = factory.edited(self.body, suspend=False)
        for _ in range(40):
            self.reconcile()
            if self._running():
                self.trainer_ends((0, ""))
            self.time_passes(700)
        plan = self.plan()
        assert state(plan) == ("True", "Available"), plan.status
        assert plan.status.revision.serving == plan.status.revision.desired
        assert (after(self.body, plan), plan.create, plan.delete) == (self.body, (), ())

    def _create(self, plan: VoicePlan) -> None:
        for manifest in plan.create:
            name = manifest["metadata"]["name"]
            if name not in self.jobs:
                self.jobs[name] = job(name, created=self.now)
                self.pods[name] = trainer(name, created=self.now)
        for manifest in plan.apply:
            if manifest["kind"] == "Deployment":
                metadata: dict[str, Any] = {"uid": "d", "creationTimestamp": "2026-01-01T00:00:00Z"}
                self.deployment = view(Deployment, manifest | {"metadata": manifest["metadata"] | metadata})

    def _remove(self, name: str) -> None:
        self.jobs.pop(name, None)
        self.pods.pop(name, None)

    def _running(self) -> list[str]:
        return [name for name, one in self.jobs.items() if not one.finished and name in self.pods]


TestVoiceLife = VoiceLife.TestCase
TestVoiceLife.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
