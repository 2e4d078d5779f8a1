"""`python -m rvc_trainer.clean_up`: remove the files of a deleted voice, all its revisions and checkpoints.

It may be killed anywhere and run again. Manifests go first, since without its manifest a revision is none:
what is half removed is never taken for a voice.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Mapping
from pathlib import PurePosixPath

import msgspec

from rvc.contract import CLEAN_UP_REQUEST_VARIABLE, CleanUpRequest, ExitCode
from rvc.errors import InvalidConfiguration, RvcError
from rvc.exit_codes import exit_code
from rvc.pod import event, log_as_json
from rvc.store import open_store
from rvc.voice.manifest import MANIFEST_NAME
from rvc_trainer.outcome import failure, leave_termination_message, termination_message_path

log = logging.getLogger(__name__)


def read_request(environment: Mapping[str, str]) -> CleanUpRequest:
    """What is to go; raises `InvalidConfiguration` for anything but the folder of one voice."""
    try:
        request = msgspec.json.decode(environment.get(CLEAN_UP_REQUEST_VARIABLE, ""), type=CleanUpRequest)
    except msgspec.MsgspecError as error:
        raise InvalidConfiguration(
            f"{CLEAN_UP_REQUEST_VARIABLE} is no request of this version: {error}; operator and trainer image "
            "must be of the same release"
        ) from error
    voice = request.voice
    if not (voice.namespace and voice.name and request.uri.endswith(f"/{voice.namespace}/{voice.name}/")):
        raise InvalidConfiguration(
            f"{request.uri} is not the folder of the voice {voice.namespace}/{voice.name}; nothing is removed"
        )
    return request


def clean_up(request: CleanUpRequest) -> int:
    """Remove all that is below the voice's folder; how many objects. Raises the errors of `rvc.errors`."""
    store, prefix = open_store(request.uri, request.store)
    store.sweep(prefix, older_than=time.time())
    keys = [found.key for found in store.list(prefix)]
    for key in sorted(keys, key=lambda key: PurePosixPath(key).name != MANIFEST_NAME):
        store.delete(key)
    event(log, "voice removed", uri=request.uri, objects=len(keys))
    return len(keys)


def main() -> int:
    """Clean up; the return value is the exit code."""
    log_as_json("rvc_trainer")
    try:
        clean_up(read_request(os.environ))
        return ExitCode.DONE
    except Exception as error:
        result = failure(error)
        log.error(result.message, exc_info=None if isinstance(error, RvcError) else error)
        leave_termination_message(result, termination_message_path(os.environ))
        return exit_code(error)


if __name__ == "__main__":
    sys.exit(main())
