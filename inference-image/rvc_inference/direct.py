"""Direct conversion: a recording in the request, the converted one in the answer, nothing kept.

    1. reserve a place, else 503              before anything is read
    2. write the recording to scratch         of bounded size, in bounded time
    3. convert, in turn with the files of conversions, unless the caller goes away
    4. answer with the file, then remove everything

The HTTP side never waits for audio: the worker's thread does, and a future tells when.
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.types import Receive, Scope, Send

from rvc.audio import open_audio
from rvc.contract import (
    AudibleLabel,
    AudioFormat,
    ConversionParameters,
    ConversionState,
    ConversionStatus,
    VoiceReference,
)
from rvc.errors import AcceleratorError, RvcError, Terminated
from rvc.provenance import Provenance, unnamed_origin
from rvc_inference.pauses import Pauses
from rvc_inference.voices import Voices
from rvc_inference.worker import Worker

AT_ONCE = 4
"""Direct conversions on a server, those that upload, wait and download included."""
LIMIT_BYTES = 256 * 1024 * 1024
LIMIT_SECONDS = 1800
"""Of sound; longer recordings are for Conversions, which survive the loss of a server."""
TRANSFER_SECONDS = 300.0
"""For a recording to come, and for its conversion to be fetched."""
NAME = "recording"
MEDIA_TYPES = {
    AudioFormat.WAV: "audio/wav",
    AudioFormat.FLAC: "audio/flac",
    AudioFormat.MP3: "audio/mpeg",
    AudioFormat.OGG: "audio/ogg",
}


class Busy(RvcError):
    """All places are taken."""

    reason = "Busy"


class RecordingTooLarge(RvcError):
    """More bytes or more sound than one request may bring."""

    reason = "RecordingTooLarge"


class UploadTooSlow(RvcError):
    """The recording did not come in time."""

    reason = "UploadTooSlow"


class DirectSettings(ConversionParameters, frozen=True):
    """The query of a direct conversion: the parameters of a Conversion, and the form of the output."""

    format: AudioFormat = AudioFormat.WAV
    audible_label: AudibleLabel = AudibleLabel.NONE


@dataclass(frozen=True)
class Speaker:
    """With which voice direct conversions speak, and who answers for them."""

    voices: Voices
    voice: VoiceReference
    producer: str


class DirectConversion:
    """One recording's turn at the worker; `done` is the finished output."""

    uid = "direct"
    abandoned = False
    """To the worker: the turn is always taken, so that `done` always comes."""

    def __init__(self, recording: Path, settings: DirectSettings, speaker: Speaker) -> None:
        self.done: Future[Path] = Future()
        self.status = ConversionStatus(state=ConversionState.QUEUED)
        self._recording = recording
        self._settings = settings
        self._speaker = speaker
        self._given_up = threading.Event()

    def abandon(self) -> None:
        """Ask for an end within one tile of audio."""
        self._given_up.set()

    def fail(self, error: Exception) -> None:
        """Note for the log why it came to nothing."""
        self.status = ConversionStatus(
            ConversionState.FAILED, reason=getattr(error, "reason", RvcError.reason), message=str(error)
        )

    def steps(self) -> Generator[None]:
        """The only step; raises what says that something is wrong with this server."""
        try:
            self.done.set_result(self._convert())
        except Exception as error:
            self.done.set_exception(error)
            if isinstance(error, AcceleratorError) or not isinstance(error, RvcError):
                raise
        yield from ()

    def _convert(self) -> Path:
        if self._given_up.is_set():
            raise Terminated("the server is shutting down, or nobody waits any more")
        _require_length(self._recording, self._given_up.is_set)
        speaker, settings = self._speaker, self._settings
        output = self._recording.with_name(f"{NAME}-converted.{settings.format.lower()}")
        converter = speaker.voices.get(speaker.voice, Pauses(self._given_up).sleep)
        converter.convert(
            self._recording,
            output,
            settings,
            settings.format,
            self._recording.parent,
            stop=self._given_up.is_set,
            name=NAME,
            provenance=Provenance(
                producer=speaker.producer,
                origin=unnamed_origin(self._recording, settings),
                audible=settings.audible_label,
            ),
        )
        return output


class DirectConversions:
    """The places of a server for direct conversions."""

    def __init__(self, worker: Worker, speaker: Speaker, scratch: Path) -> None:
        self._worker = worker
        self._speaker = speaker
        self._scratch = scratch
        self._taken = 0

    async def answer(self, request: Request, settings: DirectSettings) -> Response:
        """Convert the body of a request; raises `Busy` and what is wrong with the recording."""
        with ExitStack() as stack:
            stack.enter_context(self._place())
            folder = Path(
                stack.enter_context(tempfile.TemporaryDirectory(dir=self._scratch, prefix="direct-"))
            )
            try:
                recording = await _received(request, folder / NAME)
            except ClientDisconnect:
                return Response()
            output = await self._converted(request, DirectConversion(recording, settings, self._speaker))
            if output is None:
                return Response()
            return _Output(output, MEDIA_TYPES[settings.format], stack.pop_all().close)

    @contextmanager
    def _place(self) -> Iterator[None]:
        if self._taken >= AT_ONCE:
            raise Busy(f"{AT_ONCE} direct conversions are under way here; try again in a few seconds")
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1

    async def _converted(self, request: Request, conversion: DirectConversion) -> Path | None:
        """The output, None when the caller has gone before it was there."""
        self._worker.take(conversion)
        done = asyncio.wrap_future(conversion.done)
        gone = asyncio.create_task(_gone(request))
        try:
            await asyncio.wait((done, gone), return_when=asyncio.FIRST_COMPLETED)
            if done.done():
                return done.result()
            # The thread works in our folder; it must have left before that is removed.
            conversion.abandon()
            with suppress(Exception):
                await done
            return None
        finally:
            gone.cancel()


class _Output(FileResponse):
    """A file that goes, with all that belongs to it, once it has been sent or nobody takes it."""

    def __init__(self, path: Path, media_type: str, release: Callable[[], None]) -> None:
        super().__init__(path, media_type=media_type, filename=f"{NAME}{path.suffix}")
        self._release = release

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(TRANSFER_SECONDS):
                    await super().__call__(scope, receive, send)
        finally:
            self._release()


async def _received(request: Request, path: Path) -> Path:
    """The body as a file; raises `RecordingTooLarge`, `UploadTooSlow` or `ClientDisconnect`."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > LIMIT_BYTES:
        raise _too_large()
    size = 0
    try:
        async with asyncio.timeout(TRANSFER_SECONDS):
            with path.open("wb") as file:
                async for part in request.stream():
                    size += len(part)
                    if size > LIMIT_BYTES:
                        raise _too_large()
                    file.write(part)
    except TimeoutError:
        raise UploadTooSlow(f"the recording did not come within {TRANSFER_SECONDS:.0f} s") from None
    return path


def _too_large() -> RecordingTooLarge:
    return RecordingTooLarge(
        f"a recording has at most {LIMIT_BYTES // 1024**2} MiB here; send it as FLAC, or apply a Conversion"
    )


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _require_length(recording: Path, stop: Callable[[], bool]) -> None:
    """Raise `RecordingTooLarge` for too much sound, before any of it is kept: a small file may hold hours."""
    seconds = 0.0
    with open_audio(recording, NAME) as reader:
        for block in reader.blocks():
            seconds += len(block) / reader.sample_rate_hertz
            if stop():
                raise Terminated("nobody waits any more")
            if seconds > LIMIT_SECONDS:
                raise RecordingTooLarge(
                    f"a recording lasts at most {LIMIT_SECONDS // 60} minutes here; apply a Conversion for it"
                )
