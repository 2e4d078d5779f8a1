"""Processes that train or convert, each a fork of one that has imported everything already.

What they do is what our images do, but for the voice of conversions, which copies.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path

import msgspec

from rvc.contract import ConversionRequest, ConversionState, VoiceReference
from rvc.store import open_store
from rvc.store.oss import upload
from rvc.voice import fetch_voice
from rvc_inference.voices import Voices
from rvc_inference.worker import ENDED, Worker
from rvc_trainer import __main__ as trainer
from tests.fixtures.programs import REPOSITORY, SOURCES, eventually
from tests.fixtures.proofs import ENVIRONMENT
from tests.inference.servers import Copier
from tests.oss import KEY_ID, KEY_SECRET

SLOW_IMPORTS = (
    "rvc_trainer.attempt",
    "rvc.light.training",
    "rvc.training.plots",
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "parselmouth",
    "torch._dynamo",
)
"""What an attempt imports on its way, done once for all."""
PART_BYTES = 128 * 1024
"""Larger outputs of conversions are sent in parts of this size."""


def fork_server() -> ForkServerContext:
    """Where lives begin; a process of its own, without threads."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, *SLOW_IMPORTS])
    paths = [str(REPOSITORY / source) for source in SOURCES]
    os.environ["PYTHONPATH"] = os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")])
    return context


def begin(
    context: ForkServerContext, work: Callable[..., None], folder: Path, *arguments: object
) -> BaseProcess:
    """Start a life whose files and log are below `folder`."""
    folder.mkdir()
    life = context.Process(target=_live, args=(work, folder, arguments))
    life.start()
    return life


def _live(work: Callable[..., None], folder: Path, arguments: tuple[object, ...]) -> None:
    log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ |= {
        "OSS_ACCESS_KEY_ID": KEY_ID,
        "OSS_ACCESS_KEY_SECRET": KEY_SECRET,
        "TMPDIR": str(folder),
        "RVC_PORT": "0",
        **ENVIRONMENT,
    }
    work(folder, *arguments)


def train(folder: Path, request: str) -> None:
    """An attempt, as `python3 -m rvc_trainer` makes it."""
    os.environ |= {
        "RVC_TRAINING_REQUEST": request,
        "RVC_TERMINATION_MESSAGE_PATH": str(folder / "termination-log"),
    }
    sys.exit(trainer.main())


def convert(folder: Path, request: str) -> None:
    """A server that has one conversion to do."""
    upload.PART_BYTES = PART_BYTES
    worker = Worker(Voices(_load, folder / "voices", None), folder)
    worker.start()
    worker.put("u1", msgspec.json.decode(request, type=ConversionRequest))

    def ended() -> bool:
        return worker.get("u1").state in ENDED

    eventually(ended, "the end of the conversion")
    print(worker.get("u1"))
    sys.exit(worker.get("u1").state is not ConversionState.FINISHED)


def _load(reference: VoiceReference, folder: Path, sleep: Callable[[float], None]) -> Copier:
    store, prefix = open_store(reference.uri, reference.store, sleep=sleep)
    fetch_voice(store, prefix, folder, reference.manifest_digest)
    copier = Copier()
    copier.gate.set()
    return copier
