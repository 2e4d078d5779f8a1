"""The server's process: configuration, the served voice in the background, the API until SIGTERM.

What computes is imported last, after the number of threads is set.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from rvc.contract import (
    CONTENT_PRODUCER_VARIABLE,
    DEFAULT_CONTENT_PRODUCER,
    SERVED_VOICE_VARIABLE,
    SERVER_PORT,
    TOKEN_FILE_VARIABLE,
    VoiceReference,
)
from rvc.errors import InvalidConfiguration
from rvc.pod import PORT_VARIABLE, event, limit_threads, log_as_json
from rvc.proof import Guard

log = logging.getLogger("rvc_inference")

SHUTDOWN_SECONDS = 5
"""For requests under way when SIGTERM comes; the audio under way is abandoned."""


@dataclass(frozen=True)
class Configuration:
    """What the server is told at its start."""

    served: VoiceReference | None
    """The voice that is loaded before the server is ready; None: ready at once, each conversion brings its
    own.
    """
    port: int
    """Port of the API on all addresses of the pod."""
    token: Path | None
    """File with the token of those who convert directly; None: nobody does."""
    producer: str
    """Who answers for what is converted directly, as its labels say."""

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Configuration:
        """Read it from environment variables; raises `InvalidConfiguration`."""
        text = environment.get(SERVED_VOICE_VARIABLE)
        try:
            served = msgspec.json.decode(text, type=VoiceReference) if text else None
        except msgspec.MsgspecError as error:
            raise InvalidConfiguration(
                f"{SERVED_VOICE_VARIABLE} is no voice reference of this version: {error}; operator and "
                "server image must be of the same release"
            ) from error
        token = environment.get(TOKEN_FILE_VARIABLE)
        return cls(
            served,
            int(environment.get(PORT_VARIABLE, SERVER_PORT)),
            Path(token) if token else None,
            environment.get(CONTENT_PRODUCER_VARIABLE) or DEFAULT_CONTENT_PRODUCER,
        )


def serve(configuration: Configuration, guard: Guard, scratch: Path) -> None:
    """Answer until SIGTERM or SIGINT, then leave nothing half-written."""
    import uvicorn

    from rvc_inference.app import create_app
    from rvc_inference.direct import DirectConversions, Speaker
    from rvc_inference.loader import load_voice
    from rvc_inference.metrics import registry
    from rvc_inference.readiness import ServedVoice
    from rvc_inference.tokens import UserToken
    from rvc_inference.voices import Voices
    from rvc_inference.worker import Worker

    voices = Voices(load_voice, scratch / "voices", configuration.served)
    served = ServedVoice(voices, configuration.served)
    (scratch / "files").mkdir()
    worker = Worker(voices, scratch / "files")
    direct = None
    if configuration.served is not None:
        speaker = Speaker(voices, configuration.served, configuration.producer)
        direct = DirectConversions(worker, speaker, scratch / "files")
    token = UserToken(configuration.token, guard.refused)
    config = uvicorn.Config(
        create_app(worker, served, registry(worker, voices, served, guard), guard, token, direct),
        host="0.0.0.0",
        port=configuration.port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    socket = config.bind_socket()
    event(log, "server listens", port=socket.getsockname()[1])
    uvicorn.Server(config).run(sockets=[socket])


def main() -> None:
    """Run the server."""
    # uvicorn raises the signal again after its shutdown; the exit code then says that all is well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    log_as_json("rvc_inference")
    threads = limit_threads()
    configuration, guard = Configuration.of(os.environ), Guard.of(os.environ)
    event(log, "server begins", threads=threads, **asdict(configuration))
    with tempfile.TemporaryDirectory(prefix="rvc-inference-") as scratch:
        serve(configuration, guard, Path(scratch))


if __name__ == "__main__":
    main()
