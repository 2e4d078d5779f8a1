"""How an attempt ended, for the operator: the exit code and the termination message.

The exit code decides on a retry, the message is for people; neither needs the operator to read logs.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from rvc import errors
from rvc.contract import TERMINATION_MESSAGE_LIMIT_BYTES, ExitCode, TrainingResult, encode

EXIT_CODES: tuple[tuple[type[errors.RvcError], ExitCode], ...] = (
    (errors.InvalidDataset, ExitCode.DATASET_INVALID),
    (errors.InvalidAudio, ExitCode.DATASET_INVALID),
    (errors.ObjectNotFound, ExitCode.DATASET_INVALID),
    (errors.InvalidConfiguration, ExitCode.CONFIGURATION_INVALID),
    (errors.TrainingFailed, ExitCode.CONFIGURATION_INVALID),
    (errors.ArtifactCorrupt, ExitCode.CONFIGURATION_INVALID),
    (errors.ObjectExists, ExitCode.CONFIGURATION_INVALID),
    (errors.PermissionDenied, ExitCode.PERMISSION_DENIED),
    (errors.StoreUnavailable, ExitCode.STORE_UNAVAILABLE),
    (errors.AcceleratorError, ExitCode.ACCELERATOR_ERROR),
    (errors.Terminated, ExitCode.TERMINATED),
)
"""The one table from what went wrong to what the operator does about it.

A corrupt or foreign artefact is final: the next attempt would meet it again; a person must say what it is.
"""


def exit_code(error: BaseException) -> ExitCode:
    """Exit code for the end of an attempt by `error`; anything not in the table is a defect of ours."""
    for kind, code in EXIT_CODES:
        if isinstance(error, kind):
            return code
    return ExitCode.INTERNAL_ERROR


def failure(error: BaseException) -> TrainingResult:
    """The result that says why there is none."""
    if isinstance(error, errors.RvcError):
        return TrainingResult(reason=error.reason, message=str(error))
    return TrainingResult(
        reason=errors.RvcError.reason,
        message=f"unexpected {type(error).__name__}: {error}; the trainer's log has the traceback",
    )


def termination_message(result: TrainingResult, limit: int = TERMINATION_MESSAGE_LIMIT_BYTES) -> bytes:
    """JSON of the result in at most `limit` bytes: first the message is cut, then the last metrics go."""
    text = encode(result).encode()
    while len(text) > limit:
        if len(result.message) > 64:
            kept = result.message[: len(result.message) * 3 // 4]
            result = msgspec.structs.replace(result, message=kept.rstrip("… ") + " …")
        elif result.metrics:
            result = msgspec.structs.replace(result, metrics=result.metrics[:-1])
        else:
            raise ValueError(f"a result of {len(text)} bytes does not fit into {limit}")
        text = encode(result).encode()
    return text


def write_termination_message(result: TrainingResult, path: Path) -> None:
    """Write where the kubelet reads it when the container ends; the file is a mount, not to be replaced."""
    path.write_bytes(termination_message(result))
