"""Conversions, decision by decision."""

from datetime import datetime

import msgspec
import pytest

from rvc.contract import ConversionState, ConversionStatus, FileCounts
from rvc_operator.api.conversion import ConversionStatus as Written
from rvc_operator.plan.actions import ConversionPlan
from rvc_operator.plan.observed import Answer, ObservedConversion, Silence

from . import factory
from .decisions import plan_conversion
from .factory import CONFIG, NOW, Body, after, deployment, message, seconds, server, state
from .manifests import conversion_spec
from .test_serving_plan import REVISION, published

NEW = factory.conversion()
RUNNING = ConversionStatus(ConversionState.RUNNING, files=FileCounts(total=5, succeeded=2))
DONE = ConversionStatus(ConversionState.FINISHED, files=FileCounts(total=5, succeeded=5))
BROKEN = ConversionStatus(ConversionState.FAILED, reason="StoreUnavailable", message="away", retriable=True)


def available(revision: str = REVISION) -> Body:
    """alice, Ready."""
    body = published(revision)
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "Available",
        "message": "there",
        "lastTransitionTime": factory.moment(NOW),
    }
    return body | {"status": body["status"] | {"conditions": [ready]}}


def plan(body: Body, now: datetime = NOW, **observed: object) -> ConversionPlan:
    everything = {
        "voice": available(),
        "deployment": deployment(REVISION, 1),
        "servers": (server("a", REVISION),),
    } | observed
    return plan_conversion(ObservedConversion(body, **everything), CONFIG, now)  # type: ignore[arg-type]


GIVEN = after(NEW, plan(NEW))


def answered(answer: Answer, body: Body = GIVEN, **observed: object) -> ConversionPlan:
    return plan(body, answers={0: answer}, **observed)


def given_to(planned: ConversionPlan) -> list[str | None]:
    """The pods of the shards, None for those without."""
    return [one.assignment.pod if one.assignment is not None else None for one in planned.status.shards]


def test_work_is_given_to_a_ready_server_with_the_voice_that_it_serves() -> None:
    given = plan(NEW)
    assert state(given) == ("Unknown", "Converting")
    [(assignment, request)] = given.start
    [shard] = given.status.shards
    assert shard.assignment == assignment
    assert (assignment.pod, assignment.pod_uid, assignment.pod_ip) == ("a", "uid-a", "10.0.0.2")
    assert request.voice.revision == given.status.voice_revision == REVISION
    assert request.input.object == "pvc://voices/inbox/hello.wav"
    assert given.status.request_digest is not None
    assert given.requeue_seconds == CONFIG.poll_seconds


def test_parameters_reach_the_server() -> None:
    parameters = {"transposeSemitones": 12, "indexRatePercent": 10}
    spec = conversion_spec(parameters=parameters, output={"prefix": "pvc://voices/out/", "format": "FLAC"})
    given = plan(factory.conversion(spec))
    [(_, request)] = given.start
    assert (request.parameters.transpose_semitones, request.parameters.index_rate_percent) == (12, 10)
    assert request.output.format == "FLAC"


def test_links_and_a_prompt_reach_the_server() -> None:
    output = {
        "prefix": "oss://bucket/out/",
        "audibleLabel": "Start",
        "audibleLabelPrompt": "oss://bucket/inbox/notice.wav",
        "signedLinks": {"expirySeconds": 600},
    }
    [(_, request)] = plan(factory.conversion(conversion_spec(output=output))).start
    assert request.output.audible_label_prompt == "oss://bucket/inbox/notice.wav"
    assert request.output.signed_links_seconds == 600


@pytest.mark.parametrize(
    ("voice", "age", "expected"),
    [
        (None, 0, "WaitingForVoice"),
        (None, 599, "WaitingForVoice"),
        (None, 600, "VoiceNotFound"),
        (factory.voice(), 0, "WaitingForVoice"),
        (factory.voice({"storage": {}}), 0, "WaitingForVoice"),
    ],
)
def test_a_voice_that_is_not_there_is_waited_for(voice: Body | None, age: int, expected: str) -> None:
    waiting = plan(NEW, NOW + seconds(age), voice=voice)
    assert state(waiting) == ("Unknown", expected)
    assert "alice" in message(waiting)
    assert waiting.start == ()
    assert waiting.requeue_seconds is not None


def test_a_voice_on_its_way_is_not_followed_step_by_step() -> None:
    """Thousands of Conversions may wait for one voice."""
    pending, training, failed = (
        plan(NEW, voice=in_state(status, reason))
        for status, reason in (("Unknown", "Pending"), ("Unknown", "Training"), ("False", "DatasetInvalid"))
    )
    assert pending.status == training.status
    assert "DatasetInvalid" in message(failed)
    assert pending.events == ()


def in_state(status: str, reason: str) -> Body:
    """A voice with this condition Ready."""
    ready = {"type": "Ready", "status": status, "reason": reason, "message": "said", "observedGeneration": 1}
    return factory.voice() | {
        "status": {"conditions": [ready | {"lastTransitionTime": "2026-01-01T00:00:00Z"}]}
    }


def test_the_least_busy_server_is_chosen() -> None:
    servers = tuple(server(name, REVISION) for name in "abc")
    given = plan(NEW, servers=servers, loads={"uid-a": 2, "uid-b": 1, "uid-c": 3})
    assert given_to(given) == ["b"]


@pytest.mark.parametrize(
    "observed",
    [
        {"servers": ()},
        {"servers": (server("a", REVISION, ready=False),)},
        {"servers": (server("a", "0123456789"),)},
        {"loads": {"uid-a": 4}},
    ],
)
def test_a_server_is_waited_for(observed: Body) -> None:
    waiting = plan(NEW, **observed)
    assert state(waiting) == ("Unknown", "WaitingForInference")
    assert waiting.start == ()
    assert waiting.requeue_seconds is not None


def test_progress_is_copied() -> None:
    running = answered(RUNNING)
    assert (running.status.files.total, running.status.files.succeeded) == (5, 2)
    assert state(running) == ("Unknown", "Converting")
    assert (running.start, running.stop) == ((), ())


def test_dying_between_the_status_and_the_server_gives_the_same_work_again() -> None:
    again = answered(Silence.NOT_FOUND)
    assert again.start == plan(NEW).start
    assert again.status == Written.from_object(GIVEN)


def test_a_silent_server_is_asked_again() -> None:
    silent = answered(Silence.UNREACHABLE)
    assert (silent.start, silent.stop, silent.status) == ((), (), Written.from_object(GIVEN))
    assert silent.requeue_seconds == CONFIG.poll_seconds


def test_a_lost_server_is_replaced_without_counting() -> None:
    moved = plan(GIVEN, servers=(server("b", REVISION),))
    assert given_to(moved) == ["b"]
    assert (moved.status.attempt, moved.status.failed_attempts) == (1, 0)


@pytest.mark.parametrize("ready", [False, True])
@pytest.mark.parametrize("phase", ["Succeeded", "Failed", "Unknown"])
def test_a_server_that_was_evicted_is_replaced_though_its_pod_stays(phase: str, ready: bool) -> None:
    ended = server("a", REVISION, ready=ready, phase=phase)
    waiting = plan(GIVEN, servers=(ended,))
    assert (given_to(waiting), state(waiting)) == ([None], ("Unknown", "WaitingForInference"))
    moved = plan(GIVEN, servers=(ended, server("b", REVISION)))
    assert given_to(moved) == ["b"]


def test_begun_work_stays_with_its_revision_while_that_is_deployed() -> None:
    new = "abcdef0123"
    servers = (server("new", new), server("old", REVISION))
    moved = plan(GIVEN, voice=available(new), servers=servers)
    assert given_to(moved) == ["old"]
    fresh = plan(NEW, voice=available(new), servers=(server("old", REVISION),))
    assert state(fresh) == ("Unknown", "WaitingForInference")
    over = plan(GIVEN, voice=available(new), deployment=deployment(new, 1), servers=(server("new", new),))
    assert over.status.voice_revision == new


@pytest.mark.parametrize(
    ("files", "policy", "expected"),
    [
        (FileCounts(2, 2, 0, 0), "All", ("True", "Converted")),
        (FileCounts(2, 1, 0, 1), "All", ("True", "Converted")),
        (FileCounts(2, 1, 1, 0), "All", ("False", "PartiallyFailed")),
        (FileCounts(2, 0, 1, 1), "Any", ("True", "Converted")),
        (FileCounts(2, 0, 2, 0), "All", ("False", "ConversionFailed")),
        (FileCounts(2, 0, 2, 0), "Any", ("False", "ConversionFailed")),
        (FileCounts(), "Any", ("False", "InputInvalid")),
    ],
)
def test_how_it_ended(files: FileCounts, policy: str, expected: tuple[str, str]) -> None:
    body = GIVEN | {"spec": conversion_spec(successPolicy=policy)}
    ended = answered(ConversionStatus(ConversionState.FINISHED, files=files, results_uri="pvc://r"), body)
    assert state(ended) == expected
    assert (state(ended, "Stalled") is None) == (expected[0] == "True")
    assert (ended.status.completion_time, given_to(ended)) == (NOW, [None])
    assert ended.status.results_uri == "pvc://r"
    assert plan(after(body, ended), NOW + seconds(10**6)).status == ended.status


def test_failures_are_retried_with_back_off_up_to_the_limit() -> None:
    body, now = GIVEN | {"spec": conversion_spec(backoffLimit=1)}, NOW
    first = answered(BROKEN, body)
    assert state(first) == ("Unknown", "ConversionRetrying")
    assert (first.stop, given_to(first)) == (plan(NEW).status.shards, [None])
    assert first.status.next_retry_time is not None
    waiting = plan(after(body, first), now)
    assert (waiting.start, state(waiting)) == ((), ("Unknown", "ConversionRetrying"))
    second = plan(after(body, first), first.status.next_retry_time)
    assert second.status.attempt == 2
    third = plan(after(body, second), now, answers={0: BROKEN})
    assert state(third) == ("False", "ConversionFailed")
    assert "away" in message(third)


@pytest.mark.parametrize("reason", ["PermissionDenied", "CredentialsMissing"])
def test_rights_and_credentials_are_shown_and_waited_for_patiently(reason: str) -> None:
    refused = msgspec.structs.replace(BROKEN, reason=reason, message="do this")
    body, now = GIVEN | {"spec": conversion_spec(backoffLimit=1)}, NOW
    first = answered(refused, body)
    assert state(first) == ("Unknown", reason)
    assert "do this; the next try starts at" in message(first)
    assert [event.reason for event in first.events if event.warning] == [reason]
    due = first.status.next_retry_time
    assert due is not None
    assert due - now > seconds(400)
    second = plan(after(body, first), due)
    last = plan(after(body, second), due, answers={0: refused})
    assert state(last) == ("False", reason)
    assert "do this (failure 2, no more tries)" in message(last)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("InputNotFound", "InputInvalid"),
        ("ConfigurationInvalid", "ConfigurationInvalid"),
        ("ArtifactCorrupt", "ConversionFailed"),
    ],
)
def test_what_cannot_be_mended_is_not_retried(reason: str, expected: str) -> None:
    ended = answered(ConversionStatus(ConversionState.FAILED, reason=reason, message="see to it"))
    assert state(ended) == ("False", expected)
    assert "see to it" in message(ended)
    assert ended.status.completion_time == NOW


def test_the_deadline_ends_everything_and_stops_the_server() -> None:
    late = plan(GIVEN, NOW + seconds(86400), answers={0: RUNNING})
    assert state(late) == ("False", "DeadlineExceeded")
    assert late.stop == plan(NEW).status.shards


def test_suspending_stops_the_server() -> None:
    stopped = answered(RUNNING, factory.edited(GIVEN, suspend=True))
    assert state(stopped) == ("False", "Suspended")
    assert stopped.stop == plan(NEW).status.shards
    assert stopped.status.voice_revision == REVISION


def test_an_edit_of_what_has_ended_is_answered_by_the_same_verdict() -> None:
    ended = answered(ConversionStatus(ConversionState.FINISHED, files=FileCounts(1, 1)))
    answer = plan(factory.edited(after(GIVEN, ended), ttlSecondsAfterFinished=60))
    assert state(answer) == state(ended) == ("True", "Converted")
    assert {one.observed_generation for one in answer.status.conditions} == {2}


@pytest.mark.parametrize("changes", [{"suspend": True}, {"activeDeadlineSeconds": 60}])
@pytest.mark.parametrize("answer", [RUNNING, BROKEN, DONE, Silence.UNREACHABLE])
def test_a_server_is_told_to_stop_until_it_has_forgotten(changes: Body, answer: Answer) -> None:
    body, late = factory.edited(GIVEN, **changes), NOW + seconds(60)
    for _ in range(3):
        told = plan(body, late, answers={0: answer})
        assert (told.stop, given_to(told)) == (plan(NEW).status.shards, ["a"])
        assert told.requeue_seconds == CONFIG.poll_seconds
        body = after(body, told)
    heard = plan(body, late, answers={0: Silence.NOT_FOUND})
    assert (heard.stop, given_to(heard), heard.requeue_seconds) == ((), [None], None)
    assert state(heard) == state(told)


@pytest.mark.parametrize("changes", [{"suspend": True}, {"activeDeadlineSeconds": 60}])
def test_a_server_that_leaves_may_still_finish_and_one_that_has_gone_may_not(changes: Body) -> None:
    body, late = factory.edited(GIVEN, **changes), NOW + seconds(60)
    leaving = factory.deleting(server("a", REVISION))
    assert given_to(plan(body, late, servers=(leaving,), answers={0: RUNNING})) == ["a"]
    for servers in ((), (server("a", REVISION, ready=False, phase="Failed"),), (server("b", REVISION),)):
        gone = plan(body, late, servers=servers)
        assert (gone.stop, given_to(gone), gone.requeue_seconds) == ((), [None], None)


def test_what_was_resumed_before_its_server_heard_of_the_suspension_goes_on_there() -> None:
    suspended = factory.edited(GIVEN, suspend=True)
    resumed = factory.edited(after(suspended, answered(RUNNING, suspended)), suspend=False)
    assert (answered(RUNNING, resumed).start, given_to(answered(RUNNING, resumed))) == ((), ["a"])
    assert answered(Silence.NOT_FOUND, resumed).start == plan(NEW).start


def test_nothing_is_removed_while_a_server_works_on_it() -> None:
    body = factory.edited(GIVEN, activeDeadlineSeconds=60, ttlSecondsAfterFinished=0)
    ended = after(body, plan(body, NOW + seconds(60), answers={0: Silence.UNREACHABLE}))
    assert not plan(ended, NOW + seconds(70), answers={0: Silence.UNREACHABLE}).remove
    assert plan(ended, NOW + seconds(70), answers={0: Silence.NOT_FOUND}).remove


def test_time_to_live_begins_at_the_end() -> None:
    body = GIVEN | {"spec": conversion_spec(ttlSecondsAfterFinished=60)}
    ended = answered(ConversionStatus(ConversionState.FINISHED, files=FileCounts(1, 1)), body)
    assert ended.requeue_seconds == 60
    for passed, remove in ((59, False), (60, True)):
        assert plan(after(body, ended), NOW + seconds(passed)).remove is remove


@pytest.mark.parametrize(
    "changes",
    [
        {"input": {"object": "pvc://other/a.wav"}},
        {"output": {"prefix": "pvc://other/"}},
        {
            "output": {
                "prefix": "pvc://voices/out/",
                "audibleLabel": "Start",
                "audibleLabelPrompt": "pvc://other/notice.wav",
            }
        },
    ],
)
def test_claims_that_servers_do_not_mount_are_refused(changes: Body) -> None:
    refused = plan(factory.conversion(conversion_spec(**changes)))
    assert state(refused) == ("False", "InputInvalid")
    assert "other" in message(refused)
    assert "voices" in message(refused)


def test_changing_what_must_not_change_is_refused() -> None:
    # Kubernetes before 1.25 lets it through.
    changed = plan(factory.edited(GIVEN, input={"object": "pvc://voices/other.wav"}))
    assert state(changed) == ("False", "InvalidSpec")
    assert given_to(changed) == ["a"]


def test_an_invalid_spec_is_answered() -> None:
    refused = plan(factory.conversion(conversion_spec(input={})))
    assert state(refused) == ("False", "InvalidSpec")
    assert "object" in message(refused)
