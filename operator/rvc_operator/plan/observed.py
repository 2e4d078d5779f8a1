"""What a plan is made from: one object, everything that belongs to it, and what was heard over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from rvc.contract import ConversionStatus, Progress
from rvc_operator.api.objects import Deployment, Job, Pod, Service


@dataclass(frozen=True)
class ObservedVoice:
    """A VoiceModel and its children."""

    body: Mapping[str, Any]
    jobs: tuple[Job, ...] = ()
    trainers: tuple[Pod, ...] = ()
    deployment: Deployment | None = None
    service: Service | None = None
    servers: tuple[Pod, ...] = ()
    clean_up: Job | None = None
    """The Job that removes the files of this voice, once it is deleted."""
    cleaners: tuple[Pod, ...] = ()
    server_problem: str = ""
    """Why a server that runs is not ready, in its own words."""
    demands: tuple[int, ...] = ()
    """Of each Conversion of this voice that is neither finished nor suspended: how many shards are to do."""
    revisions_in_use: frozenset[str] = frozenset()
    """Revisions that active Conversions have begun with."""
    progress: Progress | None = None
    """What the running trainer says, if it answers."""
    silent_seconds: float = 0.0
    """For how long the running trainer has been asked, again and again, without any answer."""


class Silence(Enum):
    """What a server did not say about a conversion."""

    NOT_FOUND = "does not know the conversion"
    UNREACHABLE = "does not answer"


Answer = ConversionStatus | Silence


@dataclass(frozen=True)
class ObservedConversion:
    """A Conversion, its voice and the voice's servers."""

    body: Mapping[str, Any]
    voice: Mapping[str, Any] | None = None
    deployment: Deployment | None = None
    servers: tuple[Pod, ...] = ()
    loads: Mapping[str, int] = field(default_factory=dict)
    """Shards that each server has been given, by the pod's uid; this Conversion's not counted."""
    answers: Mapping[int, Answer] = field(default_factory=dict)
    """What the assigned servers say, by the index of the shard; nothing without a pod to ask."""
