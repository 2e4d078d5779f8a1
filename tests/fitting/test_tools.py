"""The tools' own rules, on examples; every status of every decision test is read by them, too."""

from typing import Any

import pytest

from rvc_operator.api.common import ConditionStatus
from rvc_operator.api.conditions import merge, ready
from rvc_operator.api.reasons import Reason
from rvc_operator.api.rules import to_object
from rvc_operator.api.voicemodel import VoiceModelStatus
from tests.operator.factory import NOW

from .argocd import checks, health
from .kstatus import Kstatus, kstatus, kubectl_waits
from .reading import check_status, read

KINDS = ("VoiceModel", "Conversion")


def conditions(**values: tuple[str, str]) -> list[dict[str, str]]:
    return [
        {"type": kind, "status": status, "reason": reason, "message": "why"}
        for kind, (status, reason) in values.items()
    ]


def seen(**status: Any) -> dict[str, Any]:
    """An object of generation 3."""
    return {"metadata": {"generation": 3}} | ({"status": status} if status else {})


@pytest.mark.parametrize(
    ("obj", "state", "colour", "waits"),
    [
        (seen(), "Current", "Progressing", True),
        (seen(observedGeneration=-1), "InProgress", "Progressing", True),
        (
            seen(observedGeneration=2, conditions=conditions(Ready=("True", "Available"))),
            "InProgress",
            "Progressing",
            True,
        ),
        (seen(observedGeneration=3), "Current", "Progressing", True),
        (
            seen(observedGeneration=3, conditions=conditions(Ready=("Unknown", "Training"))),
            "InProgress",
            "Progressing",
            True,
        ),
        (
            seen(observedGeneration=3, conditions=conditions(Ready=("True", "Available"))),
            "Current",
            "Healthy",
            False,
        ),
        (
            seen(
                observedGeneration=3,
                conditions=conditions(Ready=("True", "Available"), Reconciling=("True", "Training")),
            ),
            "InProgress",
            "Healthy",
            False,
        ),
        (
            seen(
                observedGeneration=3,
                conditions=conditions(Ready=("True", "Available"), Reconciling=("False", "Training")),
            ),
            "Current",
            "Healthy",
            False,
        ),
        (
            seen(observedGeneration=3, conditions=conditions(Ready=("False", "Suspended"))),
            "InProgress",
            "Suspended",
            True,
        ),
        (
            seen(
                observedGeneration=3,
                conditions=conditions(Ready=("False", "InvalidSpec"), Stalled=("True", "InvalidSpec")),
            ),
            "Failed",
            "Degraded",
            True,
        ),
    ],
)
def test_what_the_tools_make_of_a_status(obj: dict[str, Any], state: str, colour: str, waits: bool) -> None:
    assert (kstatus(obj), health(obj)[0], kubectl_waits(obj)) == (state, colour, waits)


def test_an_object_on_its_way_out_is_terminating() -> None:
    assert kstatus({"metadata": {"deletionTimestamp": "2026-11-23T12:00:00Z"}}) is Kstatus.TERMINATING


def test_kubectl_waits_for_the_condition_of_the_current_spec() -> None:
    available = conditions(Ready=("True", "Available"))[0]
    assert kubectl_waits(seen(observedGeneration=3, conditions=[available | {"observedGeneration": 2}]))
    assert not kubectl_waits(seen(observedGeneration=2, conditions=[available | {"observedGeneration": 3}]))
    assert kubectl_waits(seen(observedGeneration=2, conditions=[available]))


def test_argocd_knows_both_kinds_and_says_why() -> None:
    assert set(checks()) == set(KINDS)
    assert len(set(checks().values())) == 1
    stalled = conditions(Ready=("False", "ImagePullFailed"), Stalled=("True", "ImagePullFailed"))
    assert health(seen(observedGeneration=3, conditions=stalled)) == ("Degraded", "ImagePullFailed: why")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("status", ConditionStatus)
def test_every_reason_is_read_as_it_is_meant(status: ConditionStatus, reason: Reason, kind: str) -> None:
    written = VoiceModelStatus(
        observed_generation=3, conditions=merge((), ready(status, reason, "why"), 3, NOW)
    )
    state, colour, waits = check_status({"metadata": {"generation": 3}, "status": to_object(written)}, kind)
    assert waits is (status is not ConditionStatus.TRUE)
    if status is ConditionStatus.FALSE and reason is not Reason.SUSPENDED:
        assert (state, colour) == (Kstatus.FAILED, "Degraded")


def test_a_check_that_fails_is_seen() -> None:
    stale = VoiceModelStatus(
        observed_generation=3,
        conditions=merge((), ready(ConditionStatus.TRUE, Reason.AVAILABLE, "so"), 2, NOW),
    )
    body = {"metadata": {"generation": 3}, "status": to_object(stale)}
    assert read(body, "VoiceModel") == (Kstatus.CURRENT, "Healthy", True)
    with pytest.raises(AssertionError):
        check_status(body, "VoiceModel")
