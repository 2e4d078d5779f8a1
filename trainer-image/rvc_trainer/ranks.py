"""One process for each accelerator of the pod.

The processes are told their ranks as by `torchrun`, and train together as under it; they meet by a file in
the folder that they share. It is not used here because it does not tell how a process ended, and gives the
others half a minute after that: too little to save a checkpoint in a far store. Here the attempt ends when
its leading process ends, or as soon as another one fails; the exit code and the termination message of
whoever ended it are those of the pod.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from rvc.contract import ExitCode, TrainingResult
from rvc.pod import THREAD_VARIABLES, event, limit_threads
from rvc_trainer.outcome import write_termination_message

log = logging.getLogger(__name__)

RANK_VARIABLE = "RANK"
"""Set in a process that was started by this module; 0 is the leading one."""
SCRATCH_VARIABLE = "RVC_TRAINER_SCRATCH"
"""Folder that the processes of an attempt share."""
_ENDED = frozenset((ExitCode.DONE, ExitCode.TERMINATED))
"""Ends of a process that the leading one knows of; it is waited for."""


def run_ranks(
    command: Sequence[str], ranks: int, scratch: Path, message: Path, environment: Mapping[str, str]
) -> int:
    """Run `command` in so many processes until the attempt ends; the exit code.

    SIGTERM and SIGINT go on to all of them. `scratch` is an empty folder, `message` the place of the
    termination message.
    """
    shared = scratch / "shared"
    shared.mkdir()
    messages = [scratch / f"rank-{rank}.json" for rank in range(ranks)]
    group = _group(ranks, shared, environment)
    processes: dict[int, int] = {}

    def pass_on(number: int, _: object) -> None:
        for pid in processes:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    previous = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        for rank in range(ranks):
            own = {
                RANK_VARIABLE: str(rank),
                "LOCAL_RANK": str(rank),
                "RVC_TERMINATION_MESSAGE_PATH": str(messages[rank]),
            }
            process = subprocess.Popen(command, env=dict(environment) | group | own)
            processes[process.pid] = rank
        rank, code = _first_end(processes)
    finally:
        for pid in processes:
            os.kill(pid, signal.SIGKILL)
        for pid in list(processes):
            os.waitpid(pid, 0)
            del processes[pid]
        for number, handler in previous.items():
            signal.signal(number, handler)
    _tell(rank, ranks, code, messages[rank], message)
    return 128 - code if code < 0 else code


def _first_end(processes: dict[int, int]) -> tuple[int, int]:
    """(rank, exit code) of the process that ended the attempt; the ended ones are taken out."""
    ended: dict[int, int] = {}
    while not any(rank == 0 or code not in _ENDED for rank, code in ended.items()):
        _reap(processes, ended, 0)
    # When one dies the connection of the others breaks: of several the likeliest to be the cause counts.
    while processes and _reap(processes, ended, os.WNOHANG):
        pass
    for rank, code in ended.items():
        event(log, "process ended", rank=rank, exitCode=code)
    if ended.get(0) == ExitCode.DONE:
        return 0, ExitCode.DONE
    failed = {rank: code for rank, code in ended.items() if code != ExitCode.DONE}
    return min(failed.items(), key=lambda end: (end[1] >= 0, end[1] == ExitCode.INTERNAL_ERROR, end[0]))


def _reap(processes: dict[int, int], ended: dict[int, int], options: int) -> bool:
    """Take note of one process that ended, if there is one."""
    pid, status = os.waitpid(-1, options)
    # Whatever lost its parent becomes a child of a container's first process, so it may be a stranger.
    if pid in processes:
        ended[processes.pop(pid)] = os.waitstatus_to_exitcode(status)
    return pid != 0


def _group(ranks: int, shared: Path, environment: Mapping[str, str]) -> dict[str, str]:
    threads = max(1, limit_threads(dict(environment)) // ranks)
    return {
        "WORLD_SIZE": str(ranks),
        "LOCAL_WORLD_SIZE": str(ranks),
        SCRATCH_VARIABLE: str(shared),
    } | dict.fromkeys(THREAD_VARIABLES, str(threads))


def _tell(rank: int, ranks: int, code: int, written: Path, message: Path) -> None:
    """Pass the termination message of a process on; one that was killed wrote none."""
    try:
        if written.exists():
            shutil.copyfile(written, message)
        else:
            name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            told = f"process {rank + 1} of {ranks} ended by {name}; the trainer's log may say more"
            write_termination_message(TrainingResult(reason="ProcessKilled", message=told), message)
    except OSError as error:
        event(log, "no termination message", level=logging.WARNING, path=message, error=error)
