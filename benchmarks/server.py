"""The server's process: how soon it is ready, and how many small recordings it converts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import soundfile

from benchmarks.bench import THREADS, Bench, Figure
from rvc.base_models import default_folder
from rvc.contract import VoiceReference, encode
from rvc.store import FolderStore
from rvc.voice import publish_voice
from tests.fixtures.programs import Program, eventually
from tests.fixtures.proofs import AsOperator
from tests.inference.servers import request

_REPEATS = 3
_FILES = 100
_FILE_SECONDS = 2


class _Server(Program):
    def __init__(self, folder: Path, voice: VoiceReference, claims: Path, base_models: Path) -> None:
        self.started = time.monotonic()
        environment = {
            "RVC_SERVED_VOICE": encode(voice),
            "RVC_CLAIMS_FOLDER": str(claims),
            "RVC_BASE_MODELS": str(base_models),
            "OMP_NUM_THREADS": THREADS,
        }
        super().__init__("rvc_inference", folder, environment)
        port = self.logged_or_ended("server listens")["port"]
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, auth=AsOperator())

    def seconds_to_ready(self) -> float:
        eventually(lambda: self.client.get("/readyz").status_code == 200, "readiness")
        return time.monotonic() - self.started


def server_ready(bench: Bench) -> Iterator[Figure]:
    """From the start of the process to `/readyz`, files in the page cache."""
    voice, base_models = bench.rvc2
    _ = bench.training
    for name, folder, networks in (("light", bench.voice, default_folder()), ("rvc2", voice, base_models)):
        claims = bench.folder / f"{name}-claims"
        reference = _published(folder, claims)
        seconds = []
        for number in range(_REPEATS):
            with _Server(bench.folder / f"{name}-server-{number}", reference, claims, networks) as server:
                seconds.append(server.seconds_to_ready())
        yield Figure(f"server-ready-{name}", min(seconds), "s", "make bench ONLY=server-ready")


def server_small_files(bench: Bench) -> Iterator[Figure]:
    """One Conversion of many recordings of two seconds with a `Light` voice, from request to its end."""
    _ = bench.training
    claims = bench.folder / "small-claims"
    reference = _published(bench.voice, claims)
    inbox = claims / "data" / "in"
    inbox.mkdir()
    sound, rate = soundfile.read(bench.recording(_FILES * _FILE_SECONDS), dtype="float32")
    for number in range(_FILES):
        first = number * _FILE_SECONDS * rate
        soundfile.write(inbox / f"{number}.wav", sound[first : first + _FILE_SECONDS * rate], rate)
    wanted = encode(request(prefix="pvc://data/in/", voice=reference))
    with _Server(bench.folder / "small-server", reference, claims, default_folder()) as server:
        server.seconds_to_ready()
        started = time.monotonic()
        server.client.put("/v1/conversions/bench", content=wanted).raise_for_status()

        def ended() -> dict[str, Any] | None:
            status: dict[str, Any] = server.client.get("/v1/conversions/bench").json()
            return status if status["state"] in ("Finished", "Failed") else None

        status = eventually(ended, "the end of the conversion")
        seconds = time.monotonic() - started
    if status["files"]["succeeded"] != _FILES:
        raise RuntimeError(f"not all recordings were converted: {status}")
    command = "make bench ONLY=server-small-files"
    yield Figure("server-small-files", _FILES / seconds, "files/s", command)
    yield Figure("server-small-files-factor", seconds / (_FILES * _FILE_SECONDS), "s per s", command)


def _published(voice: Path, claims: Path) -> VoiceReference:
    (claims / "data").mkdir(parents=True)
    digest, _ = publish_voice(voice, FolderStore(claims / "data", "pvc://data/"), "voices/bench/")
    return VoiceReference("pvc://data/voices/bench/", digest, "0")
