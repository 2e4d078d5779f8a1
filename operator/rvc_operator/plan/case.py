"""One Conversion at one moment, and the ways in which a decision about it becomes a plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from msgspec.structs import replace

from rvc_operator.api.conditions import Verdict, merge
from rvc_operator.api.conversion import Assignment, Conversion, ConversionStatus, ShardStatus
from rvc_operator.api.objects import Pod
from rvc_operator.config import Config

from .actions import ConversionPlan, Start
from .events import transitions
from .observed import ObservedConversion, Silence

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


def finished(case: Case, status: ConversionStatus, verdicts: Verdicts) -> ConversionPlan:
    """The end, well or not; servers that may still be at it are stopped."""
    done = replace(still_to_stop(case, status), completion_time=case.now, next_retry_time=None)
    seconds = case.config.poll_seconds if done.at_work else case.conversion.spec.ttl_seconds_after_finished
    return planned(case, done, verdicts, stop=done.at_work, requeue_seconds=seconds)


def still_to_stop(case: Case, status: ConversionStatus) -> ConversionStatus:
    """The status without servers that have forgotten their shard, or have gone.

    The others keep it until one of the two is seen: a request to stop may be lost, and so may the operator.
    """
    computing = {pod.metadata.uid for pod in case.observed.servers if pod.live}
    shards = tuple(
        replace(shard, assignment=None)
        if shard.assignment is not None
        and (
            shard.assignment.pod_uid not in computing
            or case.observed.answers.get(shard.index) is Silence.NOT_FOUND
        )
        else shard
        for shard in status.shards
    )
    return replace(status, shards=shards)


def released(status: ConversionStatus) -> ConversionStatus:
    """The status once no server works any more."""
    return replace(status, shards=tuple(replace(shard, assignment=None) for shard in status.shards))


def planned(
    case: Case,
    status: ConversionStatus,
    verdicts: Verdicts,
    stop: Sequence[ShardStatus] = (),
    start: Sequence[Start] = (),
    requeue_seconds: float | None = None,
) -> ConversionPlan:
    """The plan that leads to `status` with `verdicts` as its conditions."""
    generation = case.conversion.metadata.generation
    conditions = merge(case.status.conditions, verdicts, generation, case.now)
    return ConversionPlan(
        replace(status, observed_generation=generation, conditions=conditions),
        stop=tuple(stop),
        start=tuple(start),
        events=transitions(case.status.conditions, conditions),
        requeue_seconds=requeue_seconds,
    )
