"""The implicit label in a container's own metadata, beside the sound, of which no sample changes.

    WAV     ID3 chunk, frame TXXX:AIGC
    FLAC    Vorbis comment AIGC
    MP3     ID3v2.4 tag, frame TXXX:AIGC
    OGG     Vorbis comment AIGC

The same file with the same label has the same bytes.
"""

# mypy: allow-untyped-calls

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

from mutagen import MutagenError
from mutagen.flac import FLAC
from mutagen.id3 import ID3, TXXX
from mutagen.ogg import OggPage
from mutagen.oggvorbis import OggVorbis
from mutagen.wave import WAVE

from rvc.contract import AudioFormat
from rvc.errors import StoreUnavailable

KEY = "AIGC"
_LATIN_1 = 0


def write_label(path: Path, audio_format: AudioFormat, label: str) -> None:
    """Write the ASCII text `label` into a complete file without metadata of its own; raises
    `StoreUnavailable` where the disk does not take it."""
    try:
        _WRITERS[audio_format](path, label)
    except MutagenError as error:
        raise StoreUnavailable(
            f"the label of a file in {path.parent} cannot be written ({error}); check the disk, try again"
        ) from error


def _write_wav(path: Path, label: str) -> None:
    file = WAVE(path)
    file[f"TXXX:{KEY}"] = _frame(label)
    file.save()


def _write_mp3(path: Path, label: str) -> None:
    tags = ID3()
    tags.add(_frame(label))
    tags.save(path)


def _frame(label: str) -> TXXX:
    return TXXX(encoding=_LATIN_1, desc=KEY, text=[label])


def _write_flac(path: Path, label: str) -> None:
    file = FLAC(path)
    file[KEY] = label
    file.save()


def _write_ogg(path: Path, label: str) -> None:
    file = OggVorbis(path)
    file[KEY] = label
    file.save()
    _number_stream(path, zlib.crc32(label.encode()))


def _number_stream(path: Path, serial: int) -> None:
    """Replace the number of an Ogg file's only stream, which libsndfile draws by the clock."""
    with path.open("r+b") as file:
        while True:
            start = file.tell()
            try:
                page = OggPage(file)
            except EOFError:
                return
            page.serial = serial
            file.seek(start)
            file.write(page.write())


_WRITERS: Mapping[AudioFormat, Callable[[Path, str], None]] = {
    AudioFormat.WAV: _write_wav,
    AudioFormat.FLAC: _write_flac,
    AudioFormat.MP3: _write_mp3,
    AudioFormat.OGG: _write_ogg,
}
