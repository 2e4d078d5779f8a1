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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from rvc.contract import (
    TRAINER_PORT,
    TRAINING_REQUEST_VARIABLE,
    ExitCode,
    TrainingRequest,
    TrainingResult,
)
from rvc.errors import InvalidConfiguration, RvcError, Terminated
from rvc.exit_codes import exit_code
from rvc.pod import PORT_VARIABLE, event, limit_threads, log_as_json
from rvc.proof import Guard
from rvc_trainer.outcome import failure, leave_termination_message, termination_message_path
from rvc_trainer.ranks import RANK_VARIABLE, SCRATCH_VARIABLE, run_ranks
from rvc_trainer.server import ProgressBoard, ProgressServer

log = logging.getLogger("rvc_trainer")


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
    server = ProgressServer(board, int(environment.get(PORT_VARIABLE, TRAINER_PORT)), Guard.of(environment))
    server.start()
    threads = limit_threads()
    event(
        log, "attempt begins", port=server.server_port, threads=threads, request=msgspec.to_builtins(request)
    )

    from rvc_trainer.attempt import run_attempt  # imports torch, which reads the number of threads

    with _scratch(environment) as scratch:
        return run_attempt(request, scratch, board.update, stop)


def _help(environment: Mapping[str, str]) -> None:
    """Take part in the training of the leading process; what there is to say it says."""
    request = read_request(environment)

    from rvc_trainer.attempt import help_attempt  # imports torch

    help_attempt(request, Path(environment[SCRATCH_VARIABLE]))


@contextmanager
def _scratch(environment: Mapping[str, str]) -> Iterator[Path]:
    """An empty folder, that of all processes if there are several."""
    if SCRATCH_VARIABLE in environment:
        yield Path(environment[SCRATCH_VARIABLE])
        return
    with tempfile.TemporaryDirectory(prefix="rvc-trainer-") as scratch:
        yield Path(scratch)


def _processes(environment: Mapping[str, str]) -> int:
    """How many to start; none beside this one where they are started, or nobody can tell."""
    if RANK_VARIABLE in environment:
        return 1
    try:
        return read_request(environment).accelerators
    except InvalidConfiguration:
        return 1


def main() -> int:
    """Run one attempt, in one process or in several; the return value is the exit code."""
    log_as_json("rvc_trainer")
    message = termination_message_path(os.environ)
    if (processes := _processes(os.environ)) == 1:
        return run(message)
    with tempfile.TemporaryDirectory(prefix="rvc-trainer-") as scratch:
        command = [sys.executable, "-m", "rvc_trainer"]
        return run_ranks(command, processes, Path(scratch), message, os.environ)


def run(message: Path) -> ExitCode:
    """Run the attempt in this process, or help the leading one; returns the exit code."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        if os.environ.get(RANK_VARIABLE, "0") != "0":
            _help(os.environ)
            return ExitCode.DONE
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
    leave_termination_message(result, message)
    return code


if __name__ == "__main__":
    sys.exit(main())
