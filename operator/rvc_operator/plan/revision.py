"""Which fields shape a voice: a change of any of them is another revision, a change of nothing else ever is.

The hash leaves out fields that have their default value, so that a new field with a default retrains
nobody's voice.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from msgspec.structs import replace

from rvc_operator.api.voicemodel import Training, VoiceModelSpec

DIGITS = 10


def training_revision(spec: VoiceModelSpec) -> str:
    """First hex digits of sha256 over the canonical JSON of what shapes the voice.

    How voices are learnt does not shape one that was learnt elsewhere.
    """
    shaping = _learning(spec) if spec.import_ is None else {"import": spec.import_}
    canonical = msgspec.json.encode(shaping, order="sorted")
    return hashlib.sha256(canonical).hexdigest()[:DIGITS]


def _learning(spec: VoiceModelSpec) -> dict[str, Any]:
    default = Training()
    training = replace(
        spec.training,
        backoff_limit=default.backoff_limit,
        active_deadline_seconds=default.active_deadline_seconds,
        save_every_epochs=default.save_every_epochs,
        tensor_board=default.tensor_board,
        pending_deadline_seconds=default.pending_deadline_seconds,
    )
    return {"dataset": spec.dataset, "training": training}
