"""One Conversion at one moment, and the ways in which a decision about it becomes a plan."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from msgspec.structs import replace

from rvc import contract
from rvc_operator.api.conditions import MESSAGE_LIMIT, Verdict, merge, shorten
from rvc_operator.api.conversion import (
    Assignment,
    Conversion,
    ConversionStatus,
    FileCounts,
    FileFailure,
)
from rvc_operator.api.objects import Pod
from rvc_operator.config import Config

from .actions import ConversionPlan
from .events import transitions
from .observed import ObservedConversion

Verdicts = tuple[Verdict, ...]
REASON_LIMIT = 63


@dataclass(frozen=True)
class Case:
    """One Conversion at one moment."""

    conversion: Conversion
    observed: ObservedConversion
    config: Config
    now: datetime

    @property
    def status(self) -> ConversionStatus:
        """Where it stands."""
        return self.conversion.status

    @property
    def created(self) -> datetime:
        """When waiting began."""
        return self.conversion.metadata.creation_timestamp or self.now

    def pod(self, assignment: Assignment) -> Pod | None:
        """The assigned server, while it is there to stay; an evicted pod is never deleted, but never works
        again."""
        pods = (pod for pod in self.observed.servers if pod.metadata.uid == assignment.pod_uid)
        return next((pod for pod in pods if pod.staying), None)


def finished(case: Case, status: ConversionStatus, verdicts: Verdicts, forget: bool = True) -> ConversionPlan:
    """The end, well or not; a server that may still be at it is stopped."""
    done = replace(status, completion_time=case.now, assignment=None, next_retry_time=None)
    stop = case.status.assignment if forget else None
    seconds = case.conversion.spec.ttl_seconds_after_finished
    return planned(case, done, verdicts, stop=stop, requeue_seconds=seconds)


def planned(
    case: Case,
    status: ConversionStatus,
    verdicts: Verdicts,
    stop: Assignment | None = None,
    start: tuple[Assignment, contract.ConversionRequest] | None = None,
    requeue_seconds: float | None = None,
) -> ConversionPlan:
    """The plan that leads to `status` with `verdicts` as its conditions."""
    generation = case.conversion.metadata.generation
    conditions = merge(case.status.conditions, verdicts, generation, case.now)
    return ConversionPlan(
        replace(status, observed_generation=generation, conditions=conditions),
        stop=stop,
        start=start,
        events=transitions(case.status.conditions, conditions),
        requeue_seconds=requeue_seconds,
    )


def with_counts(status: ConversionStatus, answer: contract.ConversionStatus) -> ConversionStatus:
    """Copy what the server says about the files."""
    files = answer.files
    return replace(
        status,
        files=FileCounts(
            total=files.total, succeeded=files.succeeded, failed=files.failed, skipped=files.skipped
        ),
        failures=tuple(
            FileFailure(
                key=shorten(one.key, MESSAGE_LIMIT),
                reason=shorten(one.reason, REASON_LIMIT),
                message=shorten(one.message or one.reason, MESSAGE_LIMIT),
            )
            for one in answer.failures[: contract.MAX_REPORTED_FAILURES]
        ),
        results_uri=answer.results_uri or status.results_uri,
    )
