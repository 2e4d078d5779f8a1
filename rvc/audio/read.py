"""Decode recordings in blocks: wav, flac, ogg and mp3 by libsndfile, m4a and other sound by FFmpeg.

libsndfile stops where it believes an MP3 to end, and without a header of its length that is a guess from its
first frames: such an MP3 goes to FFmpeg. A file that ends before its header says is an error, not a shorter
recording (Ogg has no length in its header: a cut one is a shorter one), and samples that are no numbers never
leave this module. FFmpeg is held to formats that are sound and to the file itself: a playlist or an address
inside a recording leads nowhere.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import av
import numpy as np
import soundfile

from rvc.audio.announced import announced_bytes
from rvc.errors import InvalidAudio, ObjectNotFound, PermissionDenied

_FFMPEG_OPTIONS = {
    "protocol_whitelist": "file",
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,aac,mp3,ogg,flac,wav,w64,aiff,au,caf,amr,ac3,eac3,asf,"
    "matroska,webm,avi,flv,mpegts,ape,wv,tta,truehd,dts",
}
_TRUNCATION_TOLERANCE_SECONDS = 0.5
"""By how much FFmpeg's containers misstate their duration without harm."""
_FORMATS_WITHOUT_DURATION = {"aac", "ac3", "amr", "dts", "eac3", "mp3", "mpegts", "truehd"}
"""FFmpeg's names of those where it guesses the duration from the bit rate."""
_RATES_HERTZ = range(1000, 1_000_001)
"""A damaged header that says less would turn a small file into gigabytes."""
_MP3_LENGTH_WITHIN = 64
"""Bytes of the first frame: its header, the side information, and the name of the header of length."""
_MOST_VALUES = 1 << 21
"""In a block, whatever the number of channels."""


class AudioReader(ABC):
    """An open recording; a context manager. Read it once, with `blocks`."""

    name: str
    """For messages."""
    sample_rate_hertz: int
    channels: int

    @abstractmethod
    def _decode(self, frames: int) -> Iterator[np.ndarray]:
        """Blocks of float32 [frames, channels]; raises `InvalidAudio`."""

    @abstractmethod
    def close(self) -> None:
        """Close the file."""

    def blocks(self, frames: int = 65536) -> Iterator[np.ndarray]:
        """The recording in float32 blocks [frames], channels averaged; sizes vary. Raises `InvalidAudio`."""
        count = 0
        for block in self._decode(frames):
            with np.errstate(all="ignore"):
                mono = block.mean(axis=1, dtype=np.float32)
            if not np.isfinite(mono).all():
                bad = count + int(np.flatnonzero(~np.isfinite(mono))[0])
                raise InvalidAudio(
                    f"{self.name}: sample {bad} ({bad / self.sample_rate_hertz:.2f} s) is not a "
                    "finite number; export the recording again",
                    reason="AudioNotFinite",
                )
            count += len(mono)
            yield mono
        if count == 0:
            raise InvalidAudio(
                f"{self.name}: holds no samples; record or export it again", reason="AudioEmpty"
            )

    def __enter__(self) -> AudioReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_audio(path: Path, name: str = "") -> AudioReader:
    """Open a recording for decoding; messages call it `name`, or as the file is called.

    Raises `InvalidAudio` (AudioEmpty, AudioUndecodable, AudioTruncated), `ObjectNotFound`,
    `PermissionDenied`.
    """
    name = name or path.name
    try:
        with path.open("rb") as file:
            announced = announced_bytes(file)
        size = path.stat().st_size
    except FileNotFoundError as error:
        raise ObjectNotFound(f"{path} does not exist; check the path") from error
    except PermissionError as error:
        raise PermissionDenied(f"{path} may not be read; check its owner and mode") from error
    except IsADirectoryError as error:
        raise InvalidAudio(f"{name} is a folder; name a recording", reason="AudioUndecodable") from error
    if size == 0:
        raise InvalidAudio(f"{name}: 0 bytes; upload the recording again", reason="AudioEmpty")
    if announced is not None and size + 1 < announced:
        raise _truncated(name, f"{size} of {announced} bytes")
    reader = _reader(path, name)
    if reader.sample_rate_hertz not in _RATES_HERTZ:
        reader.close()
        raise _undecodable(name, f"sample rate {reader.sample_rate_hertz} Hz")
    return reader


def _reader(path: Path, name: str) -> AudioReader:
    try:
        reader = _SoundfileReader(path, name)
    except soundfile.LibsndfileError:
        return _FFmpegReader(path, name)
    if reader.is_mp3 and not _states_mp3_length(path):
        reader.close()
        return _FFmpegReader(path, name)
    return reader


def _states_mp3_length(path: Path) -> bool:
    """Whether the first frame of an MP3 holds a header of Xing, LAME or Fraunhofer instead of sound."""
    with path.open("rb") as file:
        start = 0
        while (tag := file.read(10)).startswith(b"ID3") and len(tag) == 10:
            size = sum((byte & 0x7F) << shift for byte, shift in zip(tag[6:], (21, 14, 7, 0), strict=True))
            start = file.seek(start + 10 + size)
        file.seek(start)
        first_frame = file.read(_MP3_LENGTH_WITHIN)
    return any(name in first_frame for name in (b"Xing", b"Info", b"VBRI"))


def _truncated(name: str, what: str) -> InvalidAudio:
    return InvalidAudio(f"{name}: cut off ({what}); upload the recording again", reason="AudioTruncated")


def _undecodable(name: str, why: object) -> InvalidAudio:
    return InvalidAudio(
        f"{name}: cannot be decoded as audio ({why}); use wav, flac, mp3, ogg or m4a",
        reason="AudioUndecodable",
    )


class _SoundfileReader(AudioReader):
    def __init__(self, path: Path, name: str) -> None:
        self.name = name
        self._file = soundfile.SoundFile(path)
        self.sample_rate_hertz = self._file.samplerate
        self.channels = self._file.channels
        self.is_mp3 = self._file.format == "MP3"

    def _decode(self, frames: int) -> Iterator[np.ndarray]:
        frames = max(1, min(frames, _MOST_VALUES // self.channels))
        count = 0
        try:
            while len(block := self._file.read(frames, dtype="float32", always_2d=True)):
                count += len(block)
                yield block
        except soundfile.LibsndfileError as error:
            raise _undecodable(self.name, error.error_string) from error
        if count < self._file.frames:
            raise _truncated(self.name, f"{count} of {self._file.frames} samples")

    def close(self) -> None:
        self._file.close()


class _FFmpegReader(AudioReader):
    def __init__(self, path: Path, name: str) -> None:
        self.name = name
        try:
            self._container = av.open(str(path), options=_FFMPEG_OPTIONS, metadata_errors="replace")
        except (av.FFmpegError, OSError) as error:
            raise _undecodable(name, getattr(error, "strerror", None) or error) from error
        decodable = [stream for stream in self._container.streams.audio if stream.codec_context is not None]
        if not decodable:
            self._container.close()
            raise _undecodable(name, "there is no sound in it that can be read")
        self._stream = decodable[0]
        self.sample_rate_hertz = self._stream.rate
        self.channels = self._stream.channels

    def _decode(self, frames: int) -> Iterator[np.ndarray]:
        # Interleaved: PyAV reads beyond the end of planar frames with more than eight channels.
        interleaved = av.AudioResampler(format="flt")
        count = 0
        try:
            for frame in self._container.decode(self._stream):
                for converted in interleaved.resample(frame):
                    block = converted.to_ndarray().reshape(-1, converted.layout.nb_channels)
                    count += len(block)
                    yield block
        except (av.FFmpegError, OSError, ValueError) as error:
            raise _undecodable(self.name, getattr(error, "strerror", None) or error) from error
        if self._container.format.name in _FORMATS_WITHOUT_DURATION:
            return
        announced, seconds = self._announced_seconds(), count / self.sample_rate_hertz
        if count and seconds < announced - _TRUNCATION_TOLERANCE_SECONDS:
            raise _truncated(self.name, f"{seconds:.1f} of {announced:.1f} seconds")

    def _announced_seconds(self) -> float:
        """By the stream's header or the container's; 0 if neither says."""
        if self._stream.duration is not None and self._stream.time_base is not None:
            return float(self._stream.duration * self._stream.time_base)
        return (self._container.duration or 0) / av.time_base

    def close(self) -> None:
        self._container.close()
