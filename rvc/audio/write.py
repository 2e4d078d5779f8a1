"""Write blocks to an audio file that appears whole or not at all, with exactly the frames written.

WAV and FLAC hold 16-bit samples. All four formats keep the exact length: MP3 by the gapless header that
LAME writes and libsndfile reads (players that ignore it hear some 50 ms of silence at the ends).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

import numpy as np
import soundfile

from rvc.contract import AudioFormat
from rvc.errors import InvalidAudio, InvalidConfiguration, StoreUnavailable

_ENCODINGS = {
    AudioFormat.WAV: ("WAV", "PCM_16"),
    AudioFormat.FLAC: ("FLAC", "PCM_16"),
    AudioFormat.MP3: ("MP3", "MPEG_LAYER_III"),
    AudioFormat.OGG: ("OGG", "VORBIS"),
}
_MP3_RATES_HERTZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_CHUNK_FRAMES = 16384
"""libsndfile's Vorbis encoder puts a whole write on the stack."""


def encodable_rate_hertz(audio_format: AudioFormat, sample_rate_hertz: int) -> int:
    """The rate to write at: the given one, but for MP3 the next one of its nine (40000 becomes 44100)."""
    if audio_format is not AudioFormat.MP3:
        return sample_rate_hertz
    return next((rate for rate in _MP3_RATES_HERTZ if rate >= sample_rate_hertz), _MP3_RATES_HERTZ[-1])


class AudioWriter:
    """Writes mono float32 blocks; a context manager.

    The file grows under a hidden temporary name beside `path` and gets its name when `close` has read its
    length back; leaving the context by an exception removes it. Samples beyond full scale are clipped.
    """

    def __init__(
        self,
        path: Path,
        sample_rate_hertz: int,
        audio_format: AudioFormat,
        complete: Callable[[Path], None] = lambda temporary: None,
        name: str = "",
    ) -> None:
        """Open the file; raises `InvalidConfiguration` for a rate that the format cannot hold.

        `complete` is called with the finished file before its length is read back, to add metadata. Messages
        about the sound call it `name`, or as the file is called.
        """
        if encodable_rate_hertz(audio_format, sample_rate_hertz) != sample_rate_hertz:
            raise InvalidConfiguration(
                f"{audio_format} cannot hold {sample_rate_hertz} Hz; resample to "
                f"{encodable_rate_hertz(audio_format, sample_rate_hertz)} Hz or choose WAV, FLAC or OGG"
            )
        self.path = path
        self.name = name or path.name
        self.frames = 0
        container, encoding = _ENCODINGS[audio_format]
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
        os.fchmod(handle, 0o644)
        self._temporary = Path(name)
        self._complete = complete
        self._file = soundfile.SoundFile(
            handle, "w", sample_rate_hertz, 1, format=container, subtype=encoding, closefd=True
        )

    def write(self, block: np.ndarray) -> None:
        """Append float32 [samples]; raises `InvalidAudio` (OutputNotFinite) if they are not all numbers,
        `StoreUnavailable` if the disk does not take them."""
        if not np.isfinite(block).all():
            raise InvalidAudio(
                f"{self.name}: the conversion gave samples that are not numbers; the voice may be "
                "damaged, train or publish it again",
                reason="OutputNotFinite",
            )
        clipped = np.clip(block, -1.0, 1.0)
        with self._disk_errors():
            for start in range(0, len(clipped), _CHUNK_FRAMES):
                self._file.write(clipped[start : start + _CHUNK_FRAMES])
        self.frames += len(block)

    def close(self) -> None:
        """Finish the file, verify its length, give it its name; raises `StoreUnavailable` if it is wrong."""
        try:
            with self._disk_errors():
                self._file.close()
            self._complete(self._temporary)
            with self._disk_errors():
                written = soundfile.info(self._temporary).frames if self.frames else 0
            if written != self.frames:
                raise StoreUnavailable(
                    f"{self.path} has {written} of {self.frames} frames after writing; check the disk, try "
                    "again"
                )
            self._temporary.replace(self.path)
        finally:
            self._temporary.unlink(missing_ok=True)

    def discard(self) -> None:
        """Give up: remove what was written."""
        with suppress(soundfile.LibsndfileError):  # A full disk does not take what ends the file either.
            self._file.close()
        self._temporary.unlink(missing_ok=True)

    @contextmanager
    def _disk_errors(self) -> Iterator[None]:
        try:
            yield
        except soundfile.LibsndfileError as error:
            raise StoreUnavailable(
                f"{self.path} cannot be written ({error}); the disk may be full: free space, try again"
            ) from error

    def __enter__(self) -> AudioWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()
