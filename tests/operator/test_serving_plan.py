"""Serving: how many servers, which revision, and when they go."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rvc_operator.api.voicemodel import Serving
from rvc_operator.plan.actions import VoicePlan
from rvc_operator.plan.observed import ObservedVoice
from rvc_operator.plan.serving import wanted_replicas

from . import factory
from .decisions import plan_voice
from .factory import CONFIG, DIGEST, NOW, Body, after, deployment, message, seconds, server, state
from .manifests import voice_spec

REVISION = "467a7dc493"


def published(revision: str = REVISION, **spec: object) -> Body:
    """alice with a published voice."""
    status = {
        "observedGeneration": 1,
        "revision": {"desired": revision, "serving": revision},
        "training": {"revision": revision, "attempt": 1, "completionTime": factory.moment(NOW)},
        "artifact": {"uri": f"pvc://voices/models/test/alice/{revision}/", "manifestDigest": DIGEST},
    }
    return factory.voice(voice_spec(**spec), status)


def plan(body: Body, **observed: object) -> VoicePlan:
    return plan_voice(ObservedVoice(body, **observed), CONFIG, NOW)  # type: ignore[arg-type]


def template_of(planned: VoicePlan) -> str:
    """Digest of the Deployment that is applied."""
    [manifest] = [one for one in planned.apply if one["kind"] == "Deployment"]
    digest: str = manifest["metadata"]["annotations"]["voice.rvc.dev/template"]
    return digest


def test_servers_are_declared_from_the_start_and_none_runs() -> None:
    first = plan(published())
    [manifest] = [one for one in first.apply if one["kind"] == "Deployment"]
    assert manifest["spec"]["replicas"] == 0
    assert state(first, "Serving") == ("False", "ScaledToZero")
    assert first.status.serving.url == "http://alice-server.test.svc:8080"


def test_nothing_is_applied_twice() -> None:
    first = plan(published())
    live = deployment(REVISION, 0, template_of(first))
    again = plan(after(published(), first), deployment=live)
    assert [manifest["kind"] for manifest in again.apply] == ["Service"]
    assert again.scale is None


@pytest.mark.parametrize(("active", "replicas"), [(0, 0), (1, 1), (4, 1), (5, 2), (8, 2), (9, 3), (1000, 3)])
def test_servers_follow_the_conversions(active: int, replicas: int) -> None:
    body = published(serving={"maxReplicas": 3})
    live = deployment(REVISION, 0, template_of(plan(body)))
    demanded = plan(body, deployment=live, demands=(1,) * active)
    assert demanded.status.serving.replicas == replicas
    assert demanded.scale == (replicas or None)


@settings(deadline=None)
@given(
    minimum=st.integers(0, 32),
    extra=st.integers(0, 32),
    each=st.integers(1, 64),
    demands=st.lists(st.integers(1, 32), max_size=100),
    current=st.integers(0, 64),
    idle=st.booleans(),
)
def test_replicas_are_within_bounds_and_enough(
    minimum: int, extra: int, each: int, demands: list[int], current: int, idle: bool
) -> None:
    serving = Serving(
        min_replicas=minimum, max_replicas=max(1, minimum + extra), conversions_per_replica=each
    )
    wanted = wanted_replicas(serving, demands, current, idle)
    assert serving.min_replicas <= wanted <= serving.max_replicas
    if demands:
        assert wanted == serving.max_replicas or wanted * each >= sum(demands)
        assert wanted >= min(serving.max_replicas, max(demands))
        assert wanted >= min(current, serving.max_replicas), "no server goes while there is work"
    elif idle:
        assert wanted == serving.min_replicas


@pytest.mark.parametrize(
    ("demands", "replicas"), [((4,), 4), ((4, 1), 4), ((2, 2), 2), ((9,), 8), ((4,) * 9, 8)]
)
def test_a_split_conversion_gets_a_server_for_each_shard(demands: tuple[int, ...], replicas: int) -> None:
    demanded = plan(published(serving={"maxReplicas": 8, "conversionsPerReplica": 5}), demands=demands)
    assert demanded.status.serving.replicas == replicas
    assert demanded.status.serving.active_conversions == len(demands)


def test_servers_stay_for_a_while_after_the_last_conversion() -> None:
    body = published(serving={"idleTimeoutSeconds": 100})
    template = template_of(plan(body))
    busy = plan(body, deployment=deployment(REVISION, 0, template), demands=(1,))
    live = deployment(REVISION, 1, template)
    up: Body = {"deployment": live, "servers": (server("a", REVISION),)}
    idle = plan_voice(ObservedVoice(after(body, busy), **up), CONFIG, NOW + seconds(50))
    assert (idle.scale, idle.requeue_seconds) == (None, 100)
    assert idle.status.serving.last_used_time == NOW + seconds(50)
    for passed, scale in ((149, None), (150, 0)):
        later = plan_voice(ObservedVoice(after(body, idle), **up), CONFIG, NOW + seconds(passed))
        assert later.scale == scale


def test_a_suspended_voice_has_no_servers() -> None:
    body = published(suspend=True, serving={"minReplicas": 2, "maxReplicas": 2})
    template = template_of(plan(published(serving={"minReplicas": 2, "maxReplicas": 2})))
    stopped = plan(body, deployment=deployment(REVISION, 2, template), demands=(1,))
    assert stopped.scale == 0
    assert state(stopped) == ("False", "Suspended")


def test_a_new_revision_waits_for_conversions_begun_with_the_old_one() -> None:
    body = published()
    live = deployment("0123456789", 1, "old")
    draining = plan(body, deployment=live, demands=(1,), revisions_in_use=frozenset({"0123456789"}))
    assert [manifest["kind"] for manifest in draining.apply] == ["Service"]
    drained = plan(body, deployment=live, demands=(1,))
    assert [manifest["kind"] for manifest in drained.apply] == ["Service", "Deployment"]


@pytest.mark.parametrize(
    ("servers", "expected"),
    [
        ((), ("Unknown", "Starting")),
        ((server("a", REVISION, ready=False),), ("Unknown", "Starting")),
        ((server("a", REVISION),), ("True", "Serving")),
        ((server("a", REVISION, ready=False, waiting="CrashLoopBackOff"),), ("Unknown", "ServerFailing")),
        ((server("a", REVISION, ready=False, waiting="ImagePullBackOff"),), ("Unknown", "ImagePullFailed")),
    ],
)
def test_what_servers_are_up_to(servers: tuple[object, ...], expected: tuple[str, str]) -> None:
    body = published()
    serving = plan(body, deployment=deployment(REVISION, 1, "x"), servers=servers, demands=(1,))
    assert state(serving, "Serving") == expected
    assert state(serving) == ("True", "Available"), "the voice is there, whatever its servers do"


def test_a_server_that_cannot_load_the_voice_says_why() -> None:
    problem = "ArtifactCorrupt: voice.safetensors is not what the manifest says"
    servers = (server("a", REVISION, ready=False),)
    serving = plan(published(), servers=servers, demands=(1,), server_problem=problem)
    assert state(serving, "Serving") == ("Unknown", "ServerFailing")
    assert message(serving, "Serving") == problem
    assert serving.requeue_seconds == CONFIG.poll_seconds


def test_the_old_revision_stays_usable_while_the_wanted_one_fails() -> None:
    body = published()
    broken = factory.edited(body, dataset={"uri": "pvc://voices/other/"})
    training = plan(broken)
    assert state(training) == ("True", "Available")
    assert state(training, "Reconciling") == ("True", "Pending")
    assert training.status.revision.serving == REVISION
    name = training.status.training.job_name or ""
    pod = factory.trainer(name, "Failed", exit_code=10, message="")
    jobs = (factory.job(name, ended="Failed"),)
    failed = plan(after(broken, training), jobs=jobs, trainers=(pod,))
    assert state(failed) == ("True", "Available")
    assert state(failed, "Stalled") == ("True", "DatasetInvalid")
    assert state(failed, "Trained") == ("False", "DatasetInvalid")


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"accelerator": {"model": "Abacus"}}, "CPU, GU8TEF, GU8TF, L20, P16EN"),
        ({"serving": {"service": {"type": "LoadBalancer"}}}, "set tokenSecretRef"),
        ({"storage": {"uri": "pvc://voices/models"}}, "spec.storage"),
        ({"serving": {"minReplicas": 3}}, "spec.serving.minReplicas"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_touched(changes: Body, advice: str) -> None:
    refused = plan(factory.voice(voice_spec(**changes)))
    assert state(refused) == ("False", "InvalidSpec")
    assert state(refused, "Stalled") == ("True", "InvalidSpec")
    assert advice in message(refused)
    assert (refused.create, refused.apply, refused.delete, refused.scale) == ((), (), (), None)
    assert refused.status.observed_generation == 1


def test_direct_callers_of_a_voice_at_rest_are_told_what_to_set() -> None:
    resting = plan(published(serving={"tokenSecretRef": {"name": "callers"}}))
    assert state(resting, "Serving") == ("False", "ScaledToZero")
    assert "serving.minReplicas" in message(resting, "Serving")
    assert "serving.minReplicas" not in message(plan(published()), "Serving")


ABACUS = {"accelerator": {"model": "Abacus"}}


@pytest.mark.parametrize("mistake", [ABACUS, {"dataset": {"uri": "x"}}])
def test_a_published_voice_scales_while_its_spec_is_wrong(mistake: Body) -> None:
    body = published(serving={"maxReplicas": 3, "idleTimeoutSeconds": 60}, **mistake)
    busy = plan(body, deployment=deployment(REVISION, 0), demands=(1,) * 9)
    assert (busy.scale, busy.apply, busy.create) == (3, (), ())
    assert (state(busy), state(busy, "Stalled")) == (("True", "Available"), ("True", "InvalidSpec"))
    idle = plan(after(body, busy), deployment=deployment(REVISION, 3))
    assert (idle.scale, idle.requeue_seconds) == (None, 60)
    late = ObservedVoice(after(body, idle), deployment=deployment(REVISION, 3))
    assert plan_voice(late, CONFIG, NOW + seconds(60)).scale == 0


def test_a_wrong_spec_that_is_suspended_runs_no_server() -> None:
    body = published(suspend=True, serving={"minReplicas": 1}, **ABACUS)
    stopped = plan(body, deployment=deployment(REVISION, 1), demands=(1,))
    assert (stopped.scale, state(stopped)) == (0, ("False", "InvalidSpec"))


def test_servers_whose_limits_cannot_be_read_finish_and_go() -> None:
    body = published(serving={"minReplicas": 3, "maxReplicas": 2})
    busy = plan(body, deployment=deployment(REVISION, 2), demands=(1,) * 99)
    assert (busy.scale, busy.status.serving.replicas) == (None, 2)
    idle = plan(after(body, busy), deployment=deployment(REVISION, 2))
    late = ObservedVoice(after(body, idle), deployment=deployment(REVISION, 2))
    assert plan_voice(late, CONFIG, NOW + seconds(600)).scale == 0
