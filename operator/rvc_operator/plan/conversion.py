"""Conversion: wait for the voice, wait for servers, give the work out, follow it, write down how it ended.

The shards in status are the only memory of who converts what. A server that has gone or has forgotten is
replaced without counting, since outputs are deterministic and appear complete or not at all, so doing a
file twice is harmless. A server that cannot go on ends the attempt of all, since what troubles one (the
store, most often) troubles the others, and counts once. Work begun with one revision of the voice stays with
it for as long as servers of it are deployed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from rvc import contract
from rvc_operator.api.common import ConditionStatus, Failure, Metadata
from rvc_operator.api.conditions import MESSAGE_LIMIT, merge, ready, shorten
from rvc_operator.api.conversion import Conversion, ConversionStatus, ShardStatus
from rvc_operator.api.reasons import Reason
from rvc_operator.api.rules import InvalidSpec
from rvc_operator.config import Config

from .actions import ConversionPlan
from .case import REASON_LIMIT, Case, Verdicts, finished, planned, released, still_to_stop
from .dispatch import unreachable_claim
from .events import transitions
from .observed import ObservedConversion
from .result import finished_verdict, rejected_verdict
from .retry import FOR_PEOPLE, PATIENT, retry_time, seconds_until
from .serving import deployed_revision
from .shards import Followed, begun_anew, followed, given_out
from .waiting import available_voice, retrying, until_the_next_deadline, waiting_for_server

FULL_POLLS = 5
"""Polls between two looks for room; a server that becomes ready or free brings the Conversion up anyway."""


def plan_conversion(observed: ObservedConversion, config: Config, now: datetime) -> ConversionPlan:
    """Decide what to do for a Conversion; `now` is in whole seconds, as times in the API are."""
    try:
        conversion = Conversion.from_object(dict(observed.body))
    except InvalidSpec as error:
        return _invalid(observed, error, now)
    case = Case(conversion, observed, config, now)
    if case.status.completion_time is not None:
        return _after_the_end(case, case.status.completion_time)
    if conversion.spec.suspend:
        verdicts = ready(
            ConditionStatus.FALSE, Reason.SUSPENDED, "spec.suspend is true; set it to false to go on"
        )
        status = still_to_stop(case, case.status)
        seconds = config.poll_seconds if status.at_work else None
        return planned(case, status, verdicts, stop=status.at_work, requeue_seconds=seconds)
    deadline = case.created + timedelta(seconds=conversion.spec.active_deadline_seconds)
    if now >= deadline:
        message = f"not done within {conversion.spec.active_deadline_seconds} s of its creation"
        return finished(case, case.status, ready(ConditionStatus.FALSE, Reason.DEADLINE_EXCEEDED, message))
    heard = followed(case)
    if heard.failures:
        return _failed(case, heard.status, heard.failures[0])
    if heard.status.all_finished:
        verdicts = finished_verdict(heard.status, conversion.spec.success_policy)
        return finished(case, heard.status, verdicts)
    if heard.status.shards and not heard.status.waiting:
        return _working(case, heard)
    return _with_more_given_out(case, heard)


def _working(case: Case, heard: Followed, stop: Sequence[ShardStatus] = ()) -> ConversionPlan:
    """Look again soon."""
    return planned(
        case,
        heard.status,
        _at_work(heard.status),
        stop=stop,
        start=heard.start,
        requeue_seconds=case.config.poll_seconds,
    )


def _at_work(status: ConversionStatus) -> Verdicts:
    at_work = [shard.assignment.pod for shard in status.at_work if shard.assignment is not None]
    message = f"server {at_work[0]} is at work"
    if len(status.shards) > 1:
        done = sum(shard.finished for shard in status.shards)
        message = f"of {len(status.shards)} shards, {len(at_work)} are at work and {done} are done"
    return ready(ConditionStatus.UNKNOWN, Reason.CONVERTING, message)


def _failed(case: Case, status: ConversionStatus, answer: contract.ConversionStatus) -> ConversionPlan:
    """The conversion as a whole could not go on; single bad files do not come here."""
    spec, config = case.conversion.spec, case.config
    status = replace(
        status,
        failed_attempts=status.failed_attempts + 1,
        last_failure=Failure(
            reason=shorten(answer.reason or Reason.CONVERSION_FAILED.value, REASON_LIMIT),
            message=shorten(answer.message or "the server does not say why", MESSAGE_LIMIT),
            time=case.now,
        ),
    )
    if not answer.retriable or status.failed_attempts > spec.backoff_limit:
        return finished(case, status, rejected_verdict(answer, status.failed_attempts))
    seed = f"{case.conversion.metadata.uid}/{status.failed_attempts}"
    failures = PATIENT if answer.reason in FOR_PEOPLE else status.failed_attempts
    due = retry_time(case.now, failures, config.retry_seconds, config.retry_limit_seconds, seed)
    due = due.replace(microsecond=0)
    at_work = status.at_work
    status = replace(released(status), next_retry_time=due)
    # A server keeps its verdict until it is told to forget, and would repeat it when asked again.
    return planned(
        case,
        status,
        retrying(case, status, due),
        stop=at_work,
        requeue_seconds=seconds_until(due, case.now),
    )


def _with_more_given_out(case: Case, heard: Followed) -> ConversionPlan:
    """Give out what has no server, or say what is missing until it can be."""
    status = heard.status
    due = status.next_retry_time
    if due is not None and due > case.now:
        wait = seconds_until(due, case.now)
        return planned(case, status, retrying(case, status, due), requeue_seconds=wait)
    voice, missing = available_voice(case)
    if voice is None:
        return _waiting(case, heard, missing, until_the_next_deadline(case))
    claim = unreachable_claim(case.conversion, voice)
    if claim is not None:
        return finished(case, status, ready(ConditionStatus.FALSE, Reason.INPUT_INVALID, claim))
    # What was begun with a revision that is deployed no more begins again with the one that is, all of it:
    # no result mixes two voices.
    # Without shards it was begun by a release that had none.
    begun = status.voice_revision if status.shards else None
    anew = begun is None or deployed_revision(case.observed.deployment) not in (None, begun)
    base = begun_anew(case.conversion, status) if anew else status
    revision = (voice.status.revision.serving or "") if anew else begun or ""
    status, starts = given_out(case, base, voice.spec.serving, revision)
    if not starts:
        missing = waiting_for_server(voice, case.observed.servers)
        return _waiting(case, heard, missing, FULL_POLLS * case.config.poll_seconds)
    status = replace(
        status,
        voice_revision=revision,
        request_digest=case.conversion.spec.request_digest,
        start_time=status.start_time or case.now,
        attempt=status.failed_attempts + 1,
        next_retry_time=None,
    )
    if anew:
        return _working(case, Followed(status, starts), stop=heard.status.at_work)
    return _working(case, Followed(status, (*heard.start, *starts)))


def _waiting(case: Case, heard: Followed, missing: Verdicts, seconds: float) -> ConversionPlan:
    """Nothing more can be given out; what servers work on goes on."""
    if heard.status.at_work:
        return _working(case, heard)
    return planned(case, heard.status, missing, requeue_seconds=seconds)


def _after_the_end(case: Case, ended: datetime) -> ConversionPlan:
    """Nothing changes any more, for whatever spec, but that servers stop; perhaps it is time to go."""
    seconds = case.conversion.spec.ttl_seconds_after_finished
    generation = case.conversion.metadata.generation
    # `kubectl wait` believes a condition only when it speaks of the current generation.
    conditions = tuple(replace(one, observed_generation=generation) for one in case.status.conditions)
    status = still_to_stop(case, case.status)
    status = replace(status, observed_generation=generation, conditions=conditions)
    if status.at_work:
        return ConversionPlan(status, stop=status.at_work, requeue_seconds=case.config.poll_seconds)
    if seconds is None:
        return ConversionPlan(status)
    left = seconds_until(ended + timedelta(seconds=seconds), case.now)
    return ConversionPlan(status, remove=left == 0, requeue_seconds=left or None)


def _invalid(observed: ObservedConversion, error: InvalidSpec, now: datetime) -> ConversionPlan:
    generation = Metadata.from_object(dict(observed.body)).generation
    status = ConversionStatus.from_object(dict(observed.body))
    verdicts = ready(ConditionStatus.FALSE, Reason.INVALID_SPEC, str(error))
    conditions = merge(status.conditions, verdicts, generation, now)
    return ConversionPlan(
        replace(status, observed_generation=generation, conditions=conditions),
        events=transitions(status.conditions, conditions),
    )
