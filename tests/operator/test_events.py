"""Events: one for each transition, none for what is only said again."""

from datetime import datetime
from typing import Any

from rvc_operator.plan.actions import VoicePlan
from rvc_operator.plan.observed import ObservedVoice

from .decisions import plan_voice
from .factory import CONFIG, NOW, Body, after, job, seconds, trainer, voice


def plan(body: Body, now: datetime = NOW, **observed: Any) -> VoicePlan:
    return plan_voice(ObservedVoice(body, **observed), CONFIG, now)


def test_a_thousand_looks_at_the_same_trouble_tell_it_once() -> None:
    body = voice()
    first = plan(body)
    name = first.status.training.job_name or ""
    body = after(body, first)
    told = []
    for number in range(1000):
        pod = trainer(name, "Pending", waiting=("ImagePullBackOff", f"try {number}"))
        again = plan(body, NOW + seconds(number), jobs=(job(name),), trainers=(pod,))
        told += again.events
        body = after(body, again)
    assert [(event.reason, event.warning) for event in told] == [("ImagePullFailed", True)]


def test_the_same_news_under_two_conditions_is_told_once() -> None:
    reasons = [event.reason for event in plan(voice()).events]
    assert len(reasons) == len(set(reasons)) == 1
