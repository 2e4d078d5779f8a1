"""Parts that both kinds share: metadata, conditions, references and the texts that fields are made of.

A field that may be absent is None, in `spec` as in `status`, so that CEL's `has(self.x)` and Python's
`x is not None` are the same question. The docstring under a field is its description in the CRD.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from msgspec import Meta, Struct, field

from rvc.contract import API_GROUP

from .rules import decode

API_VERSION = f"{API_GROUP}/v1alpha1"
VOICE_NAME_LIMIT = 40
"""Leaves room for `-train-<revision>-<attempt>` within the 63 characters of a label."""

_LABEL = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"

Name = Annotated[str, Meta(max_length=253, pattern=rf"^{_LABEL}([.]{_LABEL})*$")]
Label = Annotated[str, Meta(max_length=63, pattern=f"^{_LABEL}$")]
VOICE_NAME_PATTERN = "^[a-z]([-a-z0-9]*[a-z0-9])?$"
VoiceName = Annotated[str, Meta(max_length=VOICE_NAME_LIMIT, pattern=VOICE_NAME_PATTERN)]
Uri = Annotated[str, Meta(max_length=1024, pattern=r"^(oss|pvc)://[a-z0-9][-.a-z0-9]*/[^\x00-\x1f]*$")]
Word = Annotated[str, Meta(min_length=1, max_length=63, pattern="^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$")]
"""A label value: ASCII letters, digits, `-`, `_` and `.`."""
QualifiedName = Annotated[str, Meta(max_length=317, pattern="^([-a-z0-9.]+/)?[A-Za-z0-9]([-A-Za-z0-9_.]*)$")]
"""A name with an optional domain before it, as resources and labels have."""
DIGEST_PATTERN = "^sha256:[0-9a-f]{64}$"
Digest = Annotated[str, Meta(max_length=71, pattern=DIGEST_PATTERN)]
Text = Annotated[str, Meta(max_length=1024)]
Annotations = Annotated[dict[str, Annotated[str, Meta(max_length=4096)]], Meta(max_length=64)]


def by_key(key: str, limit: int) -> Meta:
    """A list of at most `limit` objects that are told apart by one field."""
    extra = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}
    return Meta(max_length=limit, extra_json_schema=extra)


Count = Annotated[int, Meta(ge=0, le=2147483647)]
Size = Annotated[int, Meta(ge=0)]
Percentage = Annotated[int, Meta(ge=0, le=100)]
Time = Annotated[datetime, Meta(tz=True)]


class ApiStruct(Struct, frozen=True, rename="camel"):
    """Base of everything in `spec` and `status`; unknown fields are ignored, a newer schema may have stored
    them."""


class SpecStruct(ApiStruct, frozen=True, omit_defaults=True):
    """Base of everything in `spec`: written without what the defaults say, so that digests outlive new
    defaults."""


class Reference(SpecStruct, frozen=True):
    """An object in the same namespace."""

    name: Name
    """Name of the object, in the same namespace."""


class ConditionStatus(StrEnum):
    """Whether a condition holds; Unknown also means that work is going on."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(ApiStruct, frozen=True, kw_only=True):
    """One aspect of an object's state, as in every Kubernetes API."""

    type: Annotated[str, Meta(max_length=63, pattern="^[A-Z][A-Za-z]*$")]
    """What the condition is about, e.g. Ready."""
    status: ConditionStatus
    """True, False, or Unknown while work is going on."""
    reason: Annotated[str, Meta(max_length=63, pattern="^[A-Z][A-Za-z0-9]*$")]
    """One word for machines that says why; the reference lists all of them."""
    message: Annotated[str, Meta(max_length=1024)] = ""
    """A sentence for people: what is going on, and what to do if something must be done."""
    last_transition_time: Time
    """When `status` last changed."""
    observed_generation: Size = 0
    """The metadata.generation that the condition speaks of."""


class Failure(ApiStruct, frozen=True, kw_only=True):
    """The last thing that went wrong."""

    reason: Annotated[str, Meta(max_length=63)]
    """One word for machines."""
    message: Text = ""
    """What went wrong and what to do about it."""
    exit_code: Annotated[int, Meta(ge=0, le=255)] | None = None
    """Exit code of the container, if it came to run."""
    time: Time
    """When it happened."""


class Metric(ApiStruct, frozen=True):
    """A named figure."""

    name: Annotated[str, Meta(max_length=63)]
    """What is measured."""
    value: Annotated[str, Meta(max_length=63)]
    """The figure as text."""


class Metadata(Struct, frozen=True, kw_only=True, rename="camel"):
    """The part of `metadata` that the operator looks at; not validated, the API server wrote it."""

    name: str
    namespace: str
    uid: str
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    annotations: dict[str, str] = field(default_factory=dict)
    finalizers: tuple[str, ...] = ()

    @classmethod
    def from_object(cls, data: dict[str, Any]) -> Metadata:
        """Read `metadata` of a Kubernetes object, also of one whose spec is not valid."""
        return decode(cls, data["metadata"], "metadata")
