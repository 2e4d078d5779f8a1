"""Conversion: wait for the voice, wait for a server, give the work out, follow it, write down how it ended.

The assignment in status is the only memory of who converts. A server that has gone or has forgotten is
replaced without counting, since outputs are deterministic and appear complete or not at all, so doing a
file twice is harmless. Work begun with one revision of the voice stays with it for as long as servers of it
are deployed.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from rvc import contract
from rvc_operator.api.common import ConditionStatus, Failure, Metadata
from rvc_operator.api.conditions import MESSAGE_LIMIT, merge, ready, shorten
from rvc_operator.api.conversion import Assignment, Conversion, ConversionStatus
from rvc_operator.api.objects import Pod
from rvc_operator.api.reasons import Reason
from rvc_operator.api.rules import InvalidSpec
from rvc_operator.config import Config

from .actions import ConversionPlan
from .case import REASON_LIMIT, Case, finished, planned, with_counts
from .dispatch import choose_server, conversion_request, unreachable_claim
from .events import transitions
from .observed import ObservedConversion, Silence
from .result import finished_verdict, rejected_verdict
from .retry import retry_time, seconds_until
from .serving import deployed_revision
from .waiting import available_voice, retrying, until_the_next_deadline, waiting_for_server

FULL_POLLS = 5
"""Polls between two looks for room; a server that becomes ready or free brings the Conversion up anyway."""


def plan_conversion(observed: ObservedConversion, config: Config, now: datetime) -> ConversionPlan:
    """Decide what to do for a Conversion; `now` is in whole seconds, as times in the API are."""
    try:
        conversion = Conversion.from_object(dict(observed.body))
        _check_what_this_release_can(conversion)
    except InvalidSpec as error:
        return _invalid(observed, error, now)
    case = Case(conversion, observed, config, now)
    if case.status.completion_time is not None:
        return _after_the_end(case, case.status.completion_time)
    if conversion.spec.suspend:
        verdicts = ready(
            ConditionStatus.FALSE, Reason.SUSPENDED, "spec.suspend is true; set it to false to go on"
        )
        return planned(case, replace(case.status, assignment=None), verdicts, stop=case.status.assignment)
    deadline = case.created + timedelta(seconds=conversion.spec.active_deadline_seconds)
    if now >= deadline:
        message = f"not done within {conversion.spec.active_deadline_seconds} s of its creation"
        return finished(case, case.status, ready(ConditionStatus.FALSE, Reason.DEADLINE_EXCEEDED, message))
    assignment = case.status.assignment
    pod = case.pod(assignment) if assignment is not None else None
    if assignment is not None and pod is not None:
        return _assigned(case, assignment, pod)
    return _unassigned(case)


def _check_what_this_release_can(conversion: Conversion) -> None:
    """Refuse what the API allows and this release does not have yet; what has ended stays as it ended."""
    if conversion.status.completion_time is not None:
        return
    if conversion.spec.parallelism > 1:
        raise InvalidSpec("more than 1 comes with a later release; use 1", "spec.parallelism")


def _assigned(case: Case, assignment: Assignment, pod: Pod) -> ConversionPlan:
    """Follow what the server says."""
    answer, poll = case.observed.answer, case.config.poll_seconds
    working = ready(ConditionStatus.UNKNOWN, Reason.CONVERTING, f"server {assignment.pod} is at work")
    if isinstance(answer, contract.ConversionStatus):
        status = with_counts(case.status, answer)
        if answer.state is contract.ConversionState.FINISHED:
            verdicts = finished_verdict(answer, case.conversion.spec.success_policy)
            return finished(case, status, verdicts, forget=False)
        if answer.state is contract.ConversionState.FAILED:
            return _failed(case, status, assignment, answer)
        return planned(case, status, working, requeue_seconds=poll)
    request = conversion_request(case.conversion, pod, case.config.content_producer)
    if answer is Silence.NOT_FOUND and pod.ready and request is not None:
        return planned(case, case.status, working, start=(assignment, request), requeue_seconds=poll)
    return planned(case, case.status, working, requeue_seconds=poll)


def _failed(
    case: Case, status: ConversionStatus, assignment: Assignment, answer: contract.ConversionStatus
) -> ConversionPlan:
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
    due = retry_time(
        case.now, status.failed_attempts, config.retry_seconds, config.retry_limit_seconds, seed
    ).replace(microsecond=0)
    status = replace(status, assignment=None, next_retry_time=due)
    # The server keeps its verdict until it is told to forget, and would repeat it when asked again.
    return planned(
        case,
        status,
        retrying(case, status, due),
        stop=assignment,
        requeue_seconds=seconds_until(due, case.now),
    )


def _unassigned(case: Case) -> ConversionPlan:
    """Find out what is missing until the work can be given out."""
    status = replace(case.status, assignment=None)
    due = status.next_retry_time
    if due is not None and due > case.now:
        wait = seconds_until(due, case.now)
        return planned(case, status, retrying(case, status, due), requeue_seconds=wait)
    voice, waiting = available_voice(case)
    if voice is None:
        return planned(case, status, waiting, requeue_seconds=until_the_next_deadline(case))
    claim = unreachable_claim(case.conversion, voice)
    if claim is not None:
        return finished(case, status, ready(ConditionStatus.FALSE, Reason.INPUT_INVALID, claim))
    # What was begun with a revision that is deployed no more begins again with the one that is: the server
    # compares the voice's digest with the recorded one, so that no result mixes two voices.
    deployed = deployed_revision(case.observed.deployment)
    begun = status.voice_revision if deployed in (None, status.voice_revision) else None
    revision = begun or voice.status.revision.serving or ""
    pod = choose_server(
        case.observed.servers,
        case.observed.loads,
        revision,
        voice.spec.serving.conversions_per_replica,
    )
    producer = case.config.content_producer
    request = conversion_request(case.conversion, pod, producer) if pod is not None else None
    if pod is None or request is None:
        waiting = waiting_for_server(voice, case.observed.servers)
        wait = FULL_POLLS * case.config.poll_seconds
        return planned(case, status, waiting, requeue_seconds=wait)
    return _dispatched(case, status, pod, request)


def _dispatched(
    case: Case, status: ConversionStatus, pod: Pod, request: contract.ConversionRequest
) -> ConversionPlan:
    assignment = Assignment(
        pod=pod.metadata.name,
        pod_uid=pod.metadata.uid,
        pod_ip=pod.status.pod_ip,
        dispatch_time=case.now,
    )
    status = replace(
        status,
        assignment=assignment,
        voice_revision=request.voice.revision,
        request_digest=case.conversion.spec.request_digest,
        start_time=status.start_time or case.now,
        attempt=status.failed_attempts + 1,
        next_retry_time=None,
    )
    verdicts = ready(ConditionStatus.UNKNOWN, Reason.CONVERTING, f"server {assignment.pod} is at work")
    return planned(
        case,
        status,
        verdicts,
        start=(assignment, request),
        requeue_seconds=case.config.poll_seconds,
    )


def _after_the_end(case: Case, ended: datetime) -> ConversionPlan:
    """Nothing changes any more; perhaps it is time to go."""
    seconds = case.conversion.spec.ttl_seconds_after_finished
    generation = case.conversion.metadata.generation
    status = replace(case.status, observed_generation=generation)
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
