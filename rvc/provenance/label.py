"""The implicit label as text, and what it is made of."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import msgspec

from rvc.contract import DEFAULT_CONTENT_PRODUCER, AudibleLabel, ConversionParameters
from rvc.digest import sha256_of
from rvc.store.failures import store_errors

SYNTHETIC = "1"
"""Value of `Label`: the content is synthetic, not perhaps (2) nor suspected to be (3)."""


@dataclass(frozen=True)
class Provenance:
    """What the labels of one conversion say, and where they are heard."""

    producer: str = DEFAULT_CONTENT_PRODUCER
    """Who answers for the content: a name, or the code of a registered company."""
    origin: str = ""
    """What tells this conversion from all others, so that no two outputs have the same id."""
    audible: AudibleLabel = AudibleLabel.NONE
    """Where a notice is heard."""
    prompt: Path | None = None
    """A recording of the notice; None for the rhythm of the standard."""


def unnamed_origin(recording: Path, parameters: ConversionParameters) -> str:
    """What tells a conversion that has no name from all others: what is in the file, and the parameters.

    Raises `ObjectNotFound` or `PermissionDenied` for a file that cannot be read.
    """
    with store_errors(str(recording)):
        content = sha256_of(recording)
    return f"{content} {msgspec.json.encode(parameters).decode()}"


def produce_id(origin: str, name: str, voice_digest: str) -> str:
    """Id of the output that the recording `name` became in the conversion `origin`: 32 hex digits, the same
    whenever it is made again."""
    return hashlib.sha256(msgspec.json.encode([origin, name, voice_digest])).hexdigest()[:32]


def implicit_label(producer: str, identity: str) -> str:
    """Value of the metadata key `AIGC`, in ASCII, so that no reader can mistake its encoding.

    Source: GB 45438-2025, the metadata of synthetic files. The fields about who passes the file on are for
    them; ours stay empty.
    """
    return json.dumps(
        {
            "Label": SYNTHETIC,
            "ContentProducer": producer,
            "ProduceID": identity,
            "ReservedCode1": "",
            "ContentPropagator": "",
            "PropagateID": "",
            "ReservedCode2": "",
        },
        separators=(",", ":"),
    )
