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
    server_problem: str = ""
    """Why a server that runs is not ready, in its own words."""
    active_conversions: int = 0
    """Conversions of this voice that are neither finished nor suspended."""
    revisions_in_use: frozenset[str] = frozenset()
    """Revisions that active Conversions have begun with."""
    progress: Progress | None = None
    """What the running trainer says, if it answers."""


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
    """Conversions that each server has been given, by the pod's uid; this one not counted."""
    answer: Answer | None = None
    """What the assigned server says; None without an assignment or without a pod to ask."""
