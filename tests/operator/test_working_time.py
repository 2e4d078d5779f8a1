"""Time at work: every attempt is counted once, whatever becomes of it, and waiting never is."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from msgspec import structs

from rvc_operator.api.names import TRAINER_CONTAINER
from rvc_operator.api.objects import ContainerState, ContainerStatus, Pod, Running, Terminated
from rvc_operator.plan.actions import VoicePlan
from rvc_operator.plan.observed import ObservedVoice

from .decisions import plan_voice
from .factory import CONFIG, NOW, Body, after, edited, job, seconds, state, trainer, voice
from .manifests import voice_spec

TWO_CARDS = {"model": "P16EN", "count": 2}
BEGUN = NOW + seconds(10)


def plan(body: Body, now: datetime = NOW, **observed: Any) -> VoicePlan:
    return plan_voice(ObservedVoice(body, **observed), CONFIG, now)


def started(**spec: Any) -> tuple[Body, str]:
    body = voice(voice_spec(accelerator=TWO_CARDS) | spec)
    first = plan(body)
    return after(body, first), first.status.training.job_name or ""


def at_work(name: str, begun: datetime = BEGUN) -> Pod:
    return _with(trainer(name), ContainerState(running=Running(started_at=begun)))


def dead(name: str, code: int, finished: datetime, begun: datetime = BEGUN) -> Pod:
    terminated = Terminated(exit_code=code, started_at=begun, finished_at=finished)
    return _with(trainer(name, "Failed"), ContainerState(terminated=terminated))


def _with(pod: Pod, state: ContainerState) -> Pod:
    statuses = (ContainerStatus(name=TRAINER_CONTAINER, state=state),)
    return structs.replace(pod, status=structs.replace(pod.status, container_statuses=statuses))


def running() -> tuple[Body, str]:
    """A voice whose first attempt has been seen at work."""
    body, name = started()
    seen = plan(body, NOW + seconds(20), jobs=(job(name),), trainers=(at_work(name),))
    assert (seen.status.training.gpus, seen.status.training.active_since) == (2, BEGUN)
    assert seen.status.training.gpu_seconds == 0
    return after(body, seen), name


def test_an_attempt_is_added_when_it_ends_and_only_then() -> None:
    body, name = running()
    pods = (dead(name, 13, NOW + seconds(110)),)
    over = plan(body, NOW + seconds(130), jobs=(job(name, ended="Failed"),), trainers=pods)
    assert over.status.training.gpu_seconds == 200
    assert over.status.training.active_since is None
    later = plan(after(body, over), NOW + seconds(131), jobs=(job(name, ended="Failed"),), trainers=pods)
    assert later.status.training.gpu_seconds == 200


def test_attempts_add_up() -> None:
    body, name = running()
    pods = (dead(name, 13, NOW + seconds(110)),)
    body = after(body, plan(body, NOW + seconds(130), jobs=(job(name, ended="Failed"),), trainers=pods))
    body = after(body, plan(body, NOW + seconds(1000)))
    second = body["status"]["training"]["jobName"]
    begun, ended = NOW + seconds(1010), NOW + seconds(1020)
    over = plan(
        body,
        NOW + seconds(1030),
        jobs=(job(second, ended="Failed"),),
        trainers=(dead(second, 13, ended, begun),),
    )
    assert over.status.training.gpu_seconds == 220


def test_an_attempt_that_nobody_saw_running_is_counted_by_its_pod() -> None:
    body, name = started()
    pods = (dead(name, 10, NOW + seconds(60)),)
    over = plan(body, NOW + seconds(3600), jobs=(job(name, ended="Failed"),), trainers=pods)
    assert over.status.training.gpu_seconds == 100


def test_a_pod_that_vanished_is_counted_until_it_was_missed() -> None:
    body, _ = running()
    assert plan(body, NOW + seconds(60)).status.training.gpu_seconds == 100


@pytest.mark.parametrize("change", [{"suspend": True}, {"dataset": {"uri": "pvc://voices/others/"}}])
def test_an_attempt_that_the_user_ends_is_counted(change: Body) -> None:
    body, name = running()
    jobs, pods = (job(name),), (at_work(name),)
    over = plan(edited(body, **change), NOW + seconds(60), jobs=jobs, trainers=pods)
    assert over.status.training.gpu_seconds == 100
    again = plan(after(edited(body, **change), over), NOW + seconds(61), jobs=jobs, trainers=pods)
    assert again.status.training.gpu_seconds == 100


def test_time_in_a_queue_is_not_counted_nor_a_pod_that_leaves_counted_twice() -> None:
    body, name = running()
    held = plan(body, NOW + seconds(60), jobs=(job(name, suspend=True),), trainers=(at_work(name),))
    assert held.status.training.gpu_seconds == 100
    leaving = structs.replace(
        at_work(name), metadata=structs.replace(at_work(name).metadata, deletion_timestamp=NOW)
    )
    let_go = plan(after(body, held), NOW + seconds(90), jobs=(job(name),), trainers=(leaving,))
    assert let_go.status.training.active_since is None
    assert let_go.status.training.gpu_seconds == 100


def test_a_processor_is_no_gpu() -> None:
    body, name = started(accelerator={"model": "CPU"})
    pods = (dead(name, 13, NOW + seconds(110)),)
    over = plan(body, NOW + seconds(130), jobs=(job(name, ended="Failed"),), trainers=pods)
    assert over.status.training.gpu_seconds == 0


def test_the_catalogue_may_change_while_an_attempt_runs() -> None:
    body, name = running()
    pods = (dead(name, 13, NOW + seconds(110)),)
    config = replace(CONFIG, accelerators={**CONFIG.accelerators, "P16EN": CONFIG.accelerators["CPU"]})
    observed = ObservedVoice(body, jobs=(job(name, ended="Failed"),), trainers=pods)
    assert plan_voice(observed, config, NOW + seconds(130)).status.training.gpu_seconds == 200


DAY = 86400


def test_a_deadline_is_held_against_time_at_work() -> None:
    body, name = running()
    jobs, pods = (job(name),), (at_work(name),)
    assert state(plan(body, BEGUN + seconds(DAY - 1), jobs=jobs, trainers=pods)) == ("Unknown", "Training")
    late = plan(body, BEGUN + seconds(DAY), jobs=jobs, trainers=pods)
    assert (state(late), late.delete) == (("False", "DeadlineExceeded"), (name,))


def test_no_queue_no_node_and_no_pause_between_attempts_uses_the_deadline_up() -> None:
    body, name = running()
    gone = (dead(name, 13, BEGUN + seconds(DAY - 60)),)
    body = after(body, plan(body, BEGUN + seconds(DAY), jobs=(job(name, ended="Failed"),), trainers=gone))
    assert body["status"]["training"]["activeSeconds"] == DAY - 60
    later = NOW + seconds(3 * DAY)
    body = after(body, plan(body, later))
    second = body["status"]["training"]["jobName"]
    queued = plan(body, later + seconds(2 * DAY), jobs=(job(second, suspend=True),))
    assert state(queued) == ("Unknown", "Queued")
    admitted = later + seconds(2 * DAY)
    waiting = trainer(second, "Pending", created=admitted)
    jobs = (job(second, created=later, started=admitted, resumed=True),)
    pending = plan(after(body, queued), admitted + seconds(3000), jobs=jobs, trainers=(waiting,))
    assert state(pending) == ("Unknown", "Pending")
    begun = admitted + seconds(3500)
    pods = (at_work(second, begun),)
    assert state(plan(after(body, pending), begun + seconds(59), jobs=jobs, trainers=pods)) == (
        "Unknown",
        "Training",
    )
    late = plan(after(body, pending), begun + seconds(60), jobs=jobs, trainers=pods)
    assert (state(late), late.delete) == (("False", "DeadlineExceeded"), (second,))


def test_suspension_and_another_spec_give_all_of_the_time_again() -> None:
    body, name = running()
    jobs, pods = (job(name),), (at_work(name),)
    over = plan(edited(body, suspend=True), NOW + seconds(DAY), jobs=jobs, trainers=pods)
    assert over.status.training.active_seconds == 0
    assert over.status.training.gpu_seconds == 2 * (DAY - 10)
    late = plan(body, NOW + seconds(2 * DAY), jobs=jobs, trainers=pods)
    assert state(late) == ("False", "DeadlineExceeded")
    longer = edited(after(body, late), training=voice_spec()["training"] | {"backoffLimit": 9})
    again = plan(longer, NOW + seconds(2 * DAY))
    assert (again.status.training.attempt, again.status.training.active_seconds) == (2, 0)
    assert again.status.training.gpu_seconds == late.status.training.gpu_seconds
