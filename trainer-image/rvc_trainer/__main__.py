"""The trainer's process: read the request, serve progress, run the attempt, say how it ended.

What computes is imported last: before that the number of threads is set and `/healthz` answers.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path

import msgspec

from rvc.contract import (
    TERMINATION_MESSAGE_PATH,
    TRAINER_PORT,
    TRAINING_REQUEST_VARIABLE,
    ExitCode,
    TrainingRequest,
    TrainingResult,
)
from rvc.errors import InvalidConfiguration, RvcError, Terminated
from rvc.exit_codes import exit_code
from rvc.pod import PORT_VARIABLE, event, limit_threads, log_as_json
from rvc_trainer.outcome import failure, write_termination_message
from rvc_trainer.server import ProgressBoard, ProgressServer

log = logging.getLogger("rvc_trainer")

TERMINATION_MESSAGE_PATH_VARIABLE = "RVC_TERMINATION_MESSAGE_PATH"
"""Another place for the termination message, outside a pod."""


def read_request(environment: Mapping[str, str]) -> TrainingRequest:
    """The request this attempt is for; raises `InvalidConfiguration` when there is none we understand."""
    text = environment.get(TRAINING_REQUEST_VARIABLE)
    if text is None:
        raise InvalidConfiguration(f"the environment variable {TRAINING_REQUEST_VARIABLE} is not set")
    try:
        return msgspec.json.decode(text, type=TrainingRequest)
    except msgspec.MsgspecError as error:
        raise InvalidConfiguration(
            f"{TRAINING_REQUEST_VARIABLE} is no training request of this version: {error}; operator and "
            "trainer image must be of the same release"
        ) from error


def attempt(environment: Mapping[str, str], stop: threading.Event) -> TrainingResult:
    """Serve progress while the attempt runs, and return its result."""
    request = read_request(environment)
    board = ProgressBoard(request.attempt)
    server = ProgressServer(board, int(environment.get(PORT_VARIABLE, TRAINER_PORT)))
    server.start()
    threads = limit_threads()
    event(
        log, "attempt begins", port=server.server_port, threads=threads, request=msgspec.to_builtins(request)
    )

    from rvc_trainer.attempt import run_attempt  # imports torch, which reads the number of threads

    with tempfile.TemporaryDirectory(prefix="rvc-trainer-") as scratch:
        return run_attempt(request, Path(scratch), board.update, stop.is_set)


def main() -> ExitCode:
    """Run one attempt; the return value is the exit code."""
    log_as_json("rvc_trainer")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        result, code = attempt(os.environ, stop), ExitCode.DONE
        event(log, "attempt done", result=msgspec.to_builtins(result))
    except Exception as error:
        result, code = failure(error), exit_code(error)
        expected = isinstance(error, RvcError)
        log.log(
            logging.WARNING if isinstance(error, Terminated) else logging.ERROR,
            result.message,
            extra={"fields": {"reason": result.reason, "exitCode": int(code)}},
            exc_info=None if expected else error,
        )
    path = Path(os.environ.get(TERMINATION_MESSAGE_PATH_VARIABLE, TERMINATION_MESSAGE_PATH))
    try:
        write_termination_message(result, path)
    except OSError as error:
        event(log, "no termination message", level=logging.WARNING, path=path, error=error)
    return code


if __name__ == "__main__":
    sys.exit(main())
