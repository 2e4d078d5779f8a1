"""Errors as types: what went wrong decides what happens next.

Every error carries a `reason` (one CamelCase word for machines, shown in conditions and per-file results) and
a message for people that says what is wrong, where, and what to do.
"""

from __future__ import annotations


class RvcError(Exception):
    """Base of all expected errors."""

    reason = "InternalError"

    def __init__(self, message: str, *, reason: str | None = None) -> None:
        super().__init__(message)
        if reason is not None:
            self.reason = reason


class InvalidAudio(RvcError):
    """One recording cannot be used; others can."""

    reason = "AudioInvalid"


class InvalidDataset(RvcError):
    """The recordings as a whole cannot be learnt from. Final."""

    reason = "DatasetInvalid"


class InvalidConfiguration(RvcError):
    """Something was asked for that there is not. Final."""

    reason = "ConfigurationInvalid"


class TrainingFailed(RvcError):
    """Training came to no voice, and with the same settings would come to none again. Final."""

    reason = "TrainingFailed"


class ArtifactCorrupt(RvcError):
    """A file is not what its manifest says. Never loaded."""

    reason = "ArtifactCorrupt"


class ObjectNotFound(RvcError):
    """A store object or folder that was named does not exist."""

    reason = "ObjectNotFound"


class ObjectExists(RvcError):
    """A write-once object is already there with other content."""

    reason = "ObjectExists"


class PermissionDenied(RvcError):
    """The store refuses; a person must repair rights or credentials."""

    reason = "PermissionDenied"


class StoreUnavailable(RvcError):
    """The store does not answer well; worth another try."""

    reason = "StoreUnavailable"


class AcceleratorError(RvcError):
    """The GPU is missing or failed."""

    reason = "AcceleratorError"


class Terminated(RvcError):
    """SIGTERM came; progress has been saved."""

    reason = "Terminated"
