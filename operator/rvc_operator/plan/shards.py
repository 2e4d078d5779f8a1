"""The shards of a Conversion: what their servers say is folded in, and what has no server is given out.

A Conversion that is not split has one. How many there are is fixed when the work is first given out, for the
index of a file's shard depends on it. The servers agree on the list of files by themselves: the first to
write it down in the store wins.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

from msgspec.structs import replace

from rvc import contract
from rvc_operator.api.conditions import MESSAGE_LIMIT, shorten
from rvc_operator.api.conversion import (
    Assignment,
    Conversion,
    ConversionStatus,
    FileCounts,
    FileFailure,
    ShardStatus,
)
from rvc_operator.api.objects import Pod
from rvc_operator.api.voicemodel import Serving

from .actions import Start
from .case import REASON_LIMIT, Case
from .dispatch import choose_server, conversion_request
from .observed import Silence


@dataclass(frozen=True)
class Followed:
    """What has become of the work that was given out."""

    status: ConversionStatus
    start: tuple[Start, ...] = ()
    """Work that servers have not heard of, or forgot."""
    failures: tuple[contract.ConversionStatus, ...] = ()
    """Of servers that cannot go on with their shard; those that another try cannot mend come first."""


def begun_anew(conversion: Conversion, status: ConversionStatus) -> ConversionStatus:
    """The status with nothing done; into how many shards the work is divided is decided once."""
    wanted = conversion.spec.parallelism if conversion.spec.input.prefix is not None else 1
    shards = tuple(ShardStatus(index) for index in range(len(status.shards) or wanted))
    return replace(status, shards=shards, files=FileCounts(), failures=())


def followed(case: Case) -> Followed:
    """Take in what the servers say; one that has gone loses its shard."""
    status = case.status
    start: list[Start] = []
    failures: list[contract.ConversionStatus] = []
    for shard in case.status.at_work:
        assert shard.assignment is not None, "it is at work"
        pod, answer = case.pod(shard.assignment), case.observed.answers.get(shard.index)
        if pod is None:
            status = _with(status, replace(shard, assignment=None))
        elif isinstance(answer, contract.ConversionStatus):
            status = _with_answer(status, shard, answer)
            if answer.state is contract.ConversionState.FAILED:
                failures.append(answer)
        elif answer is Silence.NOT_FOUND and pod.ready:
            request = _request(case, status, shard.index, pod)
            start += [(shard.assignment, request)] if request is not None else []
    return Followed(status, tuple(start), tuple(sorted(failures, key=lambda one: one.retriable)))


def given_out(
    case: Case, status: ConversionStatus, serving: Serving, revision: str
) -> tuple[ConversionStatus, tuple[Start, ...]]:
    """Give shards that wait to ready servers of `revision`, as far as these have room.

    A server that is ready first must not take what the others come for: each is given its share of the shards
    of one Conversion at most.
    """
    most = math.ceil(len(status.shards) / serving.max_replicas)
    loads = Counter(case.observed.loads)
    own = Counter(one.assignment.pod_uid for one in status.shards if one.assignment is not None)
    starts: list[Start] = []
    for shard in status.waiting:
        candidates = [pod for pod in case.observed.servers if own[pod.metadata.uid] < most]
        pod = choose_server(candidates, loads + own, revision, serving.conversions_per_replica)
        request = _request(case, status, shard.index, pod) if pod is not None else None
        if pod is None or request is None:
            break
        assignment = Assignment(
            pod=pod.metadata.name,
            pod_uid=pod.metadata.uid,
            pod_ip=pod.status.pod_ip,
            dispatch_time=case.now,
        )
        own[pod.metadata.uid] += 1
        starts.append((assignment, request))
        status = _with(status, replace(shard, assignment=assignment))
    return status, tuple(starts)


def _request(case: Case, status: ConversionStatus, index: int, pod: Pod) -> contract.ConversionRequest | None:
    # What is not split is said as ever, so that servers of the release before understand it.
    count = len(status.shards)
    shard = contract.Shard(index, count) if count > 1 else contract.WHOLE
    return conversion_request(case.conversion, pod, case.config.content_producer, shard)


def _with(status: ConversionStatus, changed: ShardStatus) -> ConversionStatus:
    """The status with one shard changed, and the sums that follow from it."""
    shards = tuple(changed if one.index == changed.index else one for one in status.shards)
    counts = [one.files for one in shards]
    files = FileCounts(
        total=max(one.total for one in counts),
        succeeded=sum(one.succeeded for one in counts),
        failed=sum(one.failed for one in counts),
        skipped=sum(one.skipped for one in counts),
    )
    return replace(status, shards=shards, files=files)


def _with_answer(
    status: ConversionStatus, shard: ShardStatus, answer: contract.ConversionStatus
) -> ConversionStatus:
    """The status with what a server says of its shard; what others said of theirs stays."""
    done = answer.state is contract.ConversionState.FINISHED
    counts = FileCounts(answer.files.total, answer.files.succeeded, answer.files.failed, answer.files.skipped)
    assignment = None if done else shard.assignment
    status = _with(status, replace(shard, finished=done, files=counts, assignment=assignment))
    results = answer.results_uri if status.all_finished else ""
    return replace(
        status,
        failures=_failures(status, shard.index, answer),
        results_uri=results or status.results_uri,
    )


def _failures(
    status: ConversionStatus, index: int, answer: contract.ConversionStatus
) -> tuple[FileFailure, ...]:
    others = [one for one in status.failures if one.shard != index]
    told = [
        FileFailure(
            key=shorten(one.key, MESSAGE_LIMIT),
            reason=shorten(one.reason, REASON_LIMIT),
            message=shorten(one.message or one.reason, MESSAGE_LIMIT),
            shard=index,
        )
        for one in answer.failures
    ]
    failures = sorted((*others, *told), key=lambda one: one.shard)
    return tuple(failures[: contract.MAX_REPORTED_FAILURES])
