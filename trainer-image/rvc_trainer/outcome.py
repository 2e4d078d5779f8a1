"""How an attempt ended, for the operator: the termination message.

The exit code (`rvc.exit_codes`) decides on a retry, the message is for people; neither needs the operator to
read logs.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import msgspec

from rvc import errors
from rvc.contract import (
    TERMINATION_MESSAGE_LIMIT_BYTES,
    TERMINATION_MESSAGE_PATH,
    TrainingResult,
    encode,
)
from rvc.pod import event

log = logging.getLogger(__name__)

TERMINATION_MESSAGE_PATH_VARIABLE = "RVC_TERMINATION_MESSAGE_PATH"
"""Another place for the termination message, outside a pod."""


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


def termination_message_path(environment: Mapping[str, str]) -> Path:
    """Where the kubelet reads the message when the container ends."""
    return Path(environment.get(TERMINATION_MESSAGE_PATH_VARIABLE, TERMINATION_MESSAGE_PATH))


def write_termination_message(result: TrainingResult, path: Path) -> None:
    """Write the message into the file itself, which is a mount, not to be replaced."""
    path.write_bytes(termination_message(result))


def leave_termination_message(result: TrainingResult, path: Path) -> None:
    """The same; the log says if it cannot be done."""
    try:
        write_termination_message(result, path)
    except OSError as error:
        event(log, "no termination message", level=logging.WARNING, path=path, error=error)
