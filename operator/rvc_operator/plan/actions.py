"""What a plan asks for. The runtime does it in a fixed order, and may die after any part of it."""

from __future__ import annotations

from dataclasses import dataclass

from rvc.contract import ConversionRequest
from rvc_operator.api.conversion import Assignment, ConversionStatus, ShardStatus
from rvc_operator.api.voicemodel import VoiceModelStatus
from rvc_operator.build.pod import Manifest

Start = tuple[Assignment, ConversionRequest]
"""A server that is to be given a shard of a conversion, and what to tell it."""


@dataclass(frozen=True)
class Event:
    """Something worth telling people about, once per transition."""

    reason: str
    message: str
    warning: bool = False


@dataclass(frozen=True)
class VoicePlan:
    """For a VoiceModel: children, then status, then what the new status has no use for any more, then
    events."""

    status: VoiceModelStatus
    create: tuple[Manifest, ...] = ()
    """Jobs; one that exists already is fine."""
    apply: tuple[Manifest, ...] = ()
    """Deployment and Service, by server-side apply."""
    scale: int | None = None
    """Replicas that the Deployment is to have, if only they change."""
    delete: tuple[str, ...] = ()
    """Names of Jobs that go once the status no longer needs them to exist."""
    events: tuple[Event, ...] = ()
    requeue_seconds: float | None = None
    """When to look again although nothing may have happened."""


@dataclass(frozen=True)
class ConversionPlan:
    """For a Conversion: stop, then status, then start, then events.

    An assignment is in the status before its server hears of it, so that no work is ever forgotten; a
    server is stopped before the status forgets its assignment, so that none works on for nobody.
    """

    status: ConversionStatus
    stop: tuple[ShardStatus, ...] = ()
    """Shards that their servers are to forget."""
    start: tuple[Start, ...] = ()
    remove: bool = False
    """Delete the Conversion itself: its time to live is over."""
    events: tuple[Event, ...] = ()
    requeue_seconds: float | None = None
