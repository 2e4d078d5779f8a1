"""A conversion server inside the test, with voices that the test makes, reached over real HTTP."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import msgspec
import uvicorn

from rvc.audio import AudioWriter, load_audio
from rvc.contract import (
    AudioFormat,
    ConversionInput,
    ConversionOutput,
    ConversionParameters,
    ConversionRequest,
    ConversionState,
    ConversionStatus,
    ObjectKey,
    VoiceReference,
    encode,
)
from rvc.errors import InvalidAudio, Terminated
from rvc.provenance import Provenance
from rvc_inference.app import create_app
from rvc_inference.direct import DirectConversions, Speaker
from rvc_inference.metrics import registry
from rvc_inference.readiness import ServedVoice
from rvc_inference.tokens import UserToken
from rvc_inference.voices import VoiceLoader, Voices
from rvc_inference.worker import Worker
from tests.fixtures.programs import eventually
from tests.fixtures.proofs import AsOperator, guard

RATE_HERTZ = 16000
VOICE = VoiceReference("pvc://data/voices/ann/", "sha256:" + "0" * 64, "0123456789")


@dataclass(frozen=True)
class Copied:
    """What `Copier` says of its output."""

    seconds: float


@dataclass
class Copier:
    """A voice that changes nothing: real decoding and encoding. It works while the gate is open."""

    gate: threading.Event = field(default_factory=threading.Event)
    waiting: threading.Event = field(default_factory=threading.Event)
    converted: list[str] = field(default_factory=list)
    asked: list[tuple[ConversionParameters, Provenance]] = field(default_factory=list)

    def convert(
        self,
        input: Path,
        output: Path,
        parameters: ConversionParameters,
        format: AudioFormat,
        scratch: Path,
        *,
        stop: Callable[[], bool],
        name: str,
        provenance: Provenance,
    ) -> Copied:
        try:
            self.asked.append((parameters, provenance))
            audio = load_audio(input, RATE_HERTZ)
        except InvalidAudio as error:
            raise InvalidAudio(str(error).replace(input.name, name), reason=error.reason) from error
        self.waiting.set()
        while not self.gate.wait(0.01):
            if stop():
                raise Terminated("stopped")
        with AudioWriter(output, RATE_HERTZ, format) as writer:
            writer.write(audio)
        return Copied(len(audio) / RATE_HERTZ)


class Server:
    """Client of one server."""

    def __init__(self, client: httpx.Client, worker: Worker) -> None:
        self.client = client
        self.worker = worker

    def put(self, uid: str, request: ConversionRequest) -> httpx.Response:
        shard = {"shard": request.shard.index}
        return self.client.put(f"/v1/conversions/{uid}", params=shard, content=encode(request))

    def status(self, uid: str, shard: int = 0) -> ConversionStatus:
        answer = self.client.get(f"/v1/conversions/{uid}", params={"shard": shard})
        assert answer.status_code == 200, answer.text
        return msgspec.json.decode(answer.content, type=ConversionStatus)

    def ended(self, uid: str, shard: int = 0) -> ConversionStatus:
        """Wait for the end of a conversion, or of a shard of it."""

        def look() -> ConversionStatus | None:
            status = self.status(uid, shard)
            return status if status.state in (ConversionState.FINISHED, ConversionState.FAILED) else None

        return eventually(look, f"the end of {uid}")


@contextmanager
def serving(
    load: VoiceLoader, scratch: Path, served: VoiceReference | None = None, token: Path | None = None
) -> Iterator[Server]:
    """A server on a free port until the block ends."""
    scratch.mkdir(exist_ok=True)
    voices = Voices(load, scratch / "voices", served)
    ready = ServedVoice(voices, served)
    worker = Worker(voices, scratch)
    believed = guard()
    user = UserToken(token, believed.refused)
    direct = DirectConversions(worker, Speaker(voices, served, "tests"), scratch) if served else None
    app = create_app(worker, ready, registry(worker, voices, ready, believed), believed, user, direct)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()

    def port() -> int | None:
        return server.servers[0].sockets[0].getsockname()[1] if server.started else None

    url = f"http://127.0.0.1:{eventually(port, 'the server')}"
    with httpx.Client(base_url=url, timeout=30, auth=AsOperator()) as client:
        yield Server(client, worker)
    server.should_exit = True
    thread.join()


def request(
    *,
    object: str = "",
    prefix: str = "",
    output: str = "pvc://data/out/",
    voice: VoiceReference = VOICE,
    audio_format: AudioFormat = AudioFormat.WAV,
    **parameters: int,
) -> ConversionRequest:
    return ConversionRequest(
        conversion=ObjectKey("demo", "conversion"),
        voice=voice,
        input=ConversionInput(object=object, prefix=prefix),
        output=ConversionOutput(output, audio_format),
        parameters=ConversionParameters(**parameters),
    )
