"""Bad and odd audio files: what people have in their folders, and what a careless or hostile program writes.

Each case writes one file and may know what has to come of it; where it depends on the damage, either outcome
is right, so long as it is one.
"""

from __future__ import annotations

import functools
import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile

from tests.audio.files import write_m4a
from tests.fixtures.sounds import voice_like

RATE = 16000
READ = "read"
"""What comes of a file that has to be read; other outcomes are reasons of InvalidAudio."""


_CUT = ("AudioTruncated", "AudioUndecodable", "AudioEmpty")


@dataclass(frozen=True)
class Case:
    """One file."""

    name: str
    """Of the file, unique."""
    content: Callable[[], bytes]
    outcomes: frozenset[str] = frozenset()
    """Any of these has to come of it; none given: anything that is an outcome."""

    def write(self, folder: Path) -> Path:
        path = folder / self.name
        path.write_bytes(self.content())
        return path


@functools.cache
def speech(seconds: float = 1.0, rate: int = RATE) -> np.ndarray:
    return voice_like(seconds, 150.0, rate)


@functools.cache
def encoded(kind: str, subtype: str = "", rate: int = RATE) -> bytes:
    return encode(speech(1.0, rate), kind, subtype, rate)


def encode(audio: np.ndarray, kind: str, subtype: str = "", rate: int = RATE) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, audio, rate, format=kind, subtype=subtype or None)
    return file.getvalue()


@functools.cache
def by_ffmpeg(suffix: str) -> bytes:
    path = Path(f"/dev/shm/odd-audio-{np.random.default_rng().integers(1 << 60)}{suffix}")
    try:
        return write_m4a(path, speech(1.0, 44100), 44100).read_bytes()
    finally:
        path.unlink(missing_ok=True)


def whole_files() -> dict[str, bytes]:
    """One good recording in each format."""
    files = {
        kind.lower(): encoded(kind) for kind in ("WAV", "FLAC", "OGG", "MP3", "AIFF", "W64", "CAF", "AU")
    }
    files["float.wav"] = encoded("WAV", "FLOAT")
    return files | {"m4a": by_ffmpeg(".m4a"), "aac": by_ffmpeg(".aac"), "mka": by_ffmpeg(".mka")}


def suffix_of(kind: str) -> str:
    return kind.rpartition(".")[2]


def one(name: str, content: bytes, *outcomes: str) -> Case:
    return Case(name, lambda: content, frozenset(outcomes))


def truncated() -> Iterator[Case]:
    """Ogg, MPEG streams and MP3 do not know better than that they end; the others say so."""
    for kind, content in whole_files().items():
        streamed = kind in ("ogg", "mp3", "aac")
        for step in range(16):
            length = len(content) * step // 16 if step else 7
            # A part of a second at the end of Matroska is within what its headers get wrong.
            outcomes = () if streamed or (kind == "mka" and step > 7) else _CUT
            yield one(
                f"cut-{step:02}-{kind.replace('.', '-')}.{suffix_of(kind)}", content[:length], *outcomes
            )


def damaged() -> Iterator[Case]:
    for kind, content in whole_files().items():
        random = np.random.default_rng(len(content))
        for number in range(8):
            changed = bytearray(content)
            for place in random.integers(0, min(len(changed), (60, 600, 10**6)[number % 3]), 8):
                changed[place] = random.integers(256)
            name = f"damaged-{number}-{kind.replace('.', '-')}.{suffix_of(kind)}"
            yield one(name, bytes(changed))


def misnamed() -> Iterator[Case]:
    for kind, content in whole_files().items():
        for suffix in ("wav", "mp3", "flac", "ogg", "m4a", "txt"):
            if suffix != suffix_of(kind):
                yield one(f"really-{kind.replace('.', '-')}.{suffix}", content, READ)


def unusual_formats() -> Iterator[Case]:
    for subtype in ("PCM_U8", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM"):
        yield one(f"{subtype.lower()}.wav", encoded("WAV", subtype), READ)
    for kind, subtype in (("AIFF", "PCM_S8"), ("FLAC", "PCM_S8"), ("FLAC", "PCM_24"), ("OGG", "OPUS")):
        yield one(f"{subtype.lower()}.{kind.lower()}", encoded(kind, subtype), READ)
    yield one("rf64.wav", encoded("RF64"), READ)
    yield one("wavex.wav", encoded("WAVEX"), READ)
    yield one("nist.wav", encoded("NIST"), READ)
    for channels in (2, 3, 5, 6, 7, 8, 16, 23, 24, 64, 255, 1024):
        audio = np.repeat(speech(0.3)[:, None], channels, axis=1)
        yield one(f"{channels}-channels.wav", encode(audio, "WAV", "PCM_U8"), READ)
    for rate in (1000, 4000, 7999, 8000, 11025, 22050, 44100, 88200, 96000, 192000, 384000, 768000, 1000000):
        yield one(f"{rate}-hertz.wav", encode(speech(0.3), "WAV", rate=rate), READ)
    for rate in (1, 10, 999, 1_000_001, 2**31 - 1):
        yield one(f"{rate}-hertz.wav", encode(speech(0.3), "WAV", rate=rate), "AudioUndecodable")


def lengths() -> Iterator[Case]:
    for kind in ("wav", "flac", "ogg", "aiff"):
        yield one(f"0-samples.{kind}", encode(speech()[:0], kind.upper()), "AudioEmpty", "AudioUndecodable")
        for samples in (1, 2, 3, 17, 159, 160, 161, 319, 320, 321, 399, 400, 401, 1023):
            content = encode(speech()[4000 : 4000 + samples], kind.upper())
            yield one(f"{samples}-samples.{kind}", content, READ)
    loud = np.full(2, 0.5, np.float32)
    yield one("1-sample-of-1-megahertz.wav", encode(loud[:1], "WAV", rate=1_000_000), "AudioTooShort")


def values() -> Iterator[Case]:
    def changed(change: Callable[[np.ndarray], object]) -> bytes:
        audio = speech().copy()
        change(audio)
        return encode(audio, "WAV", "FLOAT")

    def put(value: float) -> Callable[[np.ndarray], object]:
        return lambda audio: np.put(audio, [0, 5000], value)

    yield one("all-zero.wav", encode(np.zeros(RATE), "WAV"), "AudioSilent")
    yield one("all-zero.flac", encode(np.zeros(RATE), "FLAC"), "AudioSilent")
    yield one("dither.wav", encode(speech() * 1e-5, "WAV", "FLOAT"), "AudioSilent")
    for name, value in (("nan", np.nan), ("infinite", np.inf), ("minus-infinite", -np.inf)):
        yield one(f"{name}.wav", changed(put(value)), "AudioNotFinite")
        yield one(f"all-{name}.wav", encode(np.full(RATE, value), "WAV", "FLOAT"), "AudioNotFinite")
        stereo = np.stack([speech(), np.full(RATE, value)], 1)
        yield one(f"{name}-right.wav", encode(stereo, "WAV", "FLOAT"), "AudioNotFinite")
    yield one("overflow.wav", encode(np.full((RATE, 2), 3e38), "WAV", "FLOAT"), "AudioNotFinite")
    yield one("double-overflow.wav", encode(np.full(RATE, 1e200), "WAV", "DOUBLE"), "AudioNotFinite")
    for name, audio in (
        ("huge", speech() * 1e30),
        ("denormal-and-one", np.where(np.arange(RATE) == 7, 0.5, 1e-40)),
        ("direct-current", np.full(RATE, 0.5)),
        ("full-scale", np.ones(RATE)),
        ("minus-full-scale", -np.ones(RATE)),
        ("impulse", np.eye(1, RATE, 8000)[0]),
        ("clipped", np.clip(20 * speech(), -1, 1)),
        ("square", np.sign(speech())),
        ("offset", speech() * 0.3 + 0.6),
        ("whispered", speech() * 1e-3),
        ("nyquist", np.tile([0.5, -0.5], RATE // 2)),
        ("last-sample", np.eye(1, RATE, RATE - 1)[0]),
        ("opposite-channels", np.stack([speech(), 0.9 * -speech()], 1)),
    ):
        yield one(f"{name}.wav", encode(audio, "WAV", "FLOAT"), READ)
    yield one("cancelling-channels.wav", encode(np.stack([speech(), -speech()], 1), "WAV"), "AudioSilent")


def wav(data: bytes, *, channels: int = 1, rate: int = RATE, bits: int = 16, riff: int | None = None,
        size: int | None = None, tag: int = 1, align: int | None = None) -> bytes:  # fmt: skip
    """A wav file whose header says what it is told to."""
    align = channels * bits // 8 if align is None else align
    header = struct.pack(
        "<HHIIHH", tag, channels & 0xFFFF, rate, (rate * align) & 0xFFFFFFFF, align & 0xFFFF, bits
    )
    body = b"WAVEfmt " + struct.pack("<I", len(header)) + header + b"data"
    body += struct.pack("<I", len(data) if size is None else size) + data
    return b"RIFF" + struct.pack("<I", len(body) if riff is None else riff) + body


def claims() -> Iterator[Case]:
    sound = (speech() * 32767).astype("<i2").tobytes()
    yield one("streamed.wav", wav(sound, riff=0xFFFFFFFF, size=0xFFFFFFFF), READ)
    yield one("streamed-zero.wav", wav(sound, riff=0, size=0xFFFFFFFF))
    for number, options in enumerate(
        (
            {"size": 0x7FFFFFF0}, {"size": 0}, {"riff": 0}, {"channels": 0}, {"channels": 65535},
            {"channels": 2000}, {"rate": 0}, {"rate": 0xFFFFFFFF}, {"bits": 0}, {"bits": 1}, {"bits": 64},
            {"bits": 255}, {"tag": 0}, {"tag": 0xFFFF}, {"tag": 85}, {"tag": 0xFFFE}, {"align": 0},
            {"align": 65535}, {"riff": 0x10000000}, {"riff": 4},
        )
    ):  # fmt: skip
        yield Case(f"claim-{number:02}.wav", functools.partial(wav, sound, **options))
    flac = bytearray(encoded("FLAC"))
    for number, (place, value) in enumerate(
        ((21, 0x0F), (22, 0xFF), (18, 0xFF), (20, 0xF0), (8, 0), (4, 0xFF))
    ):
        changed = flac.copy()
        changed[place] = value
        if number < 2:
            changed[21 + number : 26] = b"\xff" * (5 - number)
        yield one(f"claim-{number}.flac", bytes(changed))
    for number, size in enumerate((0, 1, 8, 0xFFFFFFFF, 0x7FFFFFFF)):
        box = struct.pack(">I", size) + b"ftypM4A \0\0\2\0M4A mp42isom" + struct.pack(">I", size) + b"moov"
        yield one(f"claim-{number}.m4a", box + bytes(64))
        header = b"FORM" + struct.pack(">I", size) + b"AIFFCOMM" + struct.pack(">I", size)
        yield one(f"claim-{number}.aiff", header + bytes(64))


def png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + bytes(24) for _ in range(8)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.wav", encoded("WAV"))
    return file.getvalue()


def video_without_sound() -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        stream = container.add_stream("rawvideo", rate=25)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame(16, 16, "yuv420p")))
        container.mux(stream.encode(None))
    return file.getvalue()


def id3(size: int, data: bytes) -> bytes:
    return b"ID3\x04\0\0" + bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0)) + data


def no_recordings() -> Iterator[Case]:
    texts = {
        "playlist.m3u": b"#EXTM3U\n/etc/passwd\n",
        "playlist.wav": b"#EXTM3U\n#EXTINF:1,x\nfile:///etc/passwd\n",
        "hls.mp3": b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://127.0.0.1:1/x.ts\n#EXT-X-ENDLIST\n",
        "concat.m4a": b"ffconcat version 1.0\nfile '/etc/passwd'\n",
        "page.wav": b"<!DOCTYPE html><html><body>404</body></html>",
        "rows.ogg": b'{"error": "not found"}',
        "key.flac": b"-----BEGIN CERTIFICATE-----\n",
        "session.m4a": b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nm=audio 9 RTP/AVP 0\r\n",
        "spaces.wav": b" " * 5000,
        "zeros.wav": bytes(5000),
        "zeros.mp3": bytes(5000),
        "ones.mp3": b"\xff" * 5000,
        "id3-only.mp3": id3(500, bytes(500)),
        "id3-liar.mp3": id3((1 << 28) - 1, bytes(500)),
        "id3-short.mp3": b"ID3\x04",
        "id3-nested.mp3": id3(0, b"") * 40,
        "picture.wav": png(),
        "picture.mp3": id3(len(png()), png()),
        "archive.flac": zipped(),
        "silent-film.mka": video_without_sound(),
        "riff.wav": b"RIFF",
        "wave.wav": b"RIFF\x04\0\0\0WAVE",
        "mark.flac": b"fLaC",
        "mark.ogg": b"OggS",
        "one-byte.wav": b"R",
        "xing.mp3": b"\xff\xfb\x90\x00" + bytes(32) + b"Xing" + bytes(400),
    }
    for name, content in texts.items():
        yield one(name, content, "AudioUndecodable", "AudioEmpty", "AudioTruncated")
    for suffix in ("wav", "mp3", "flac", "ogg", "m4a"):
        yield one(f"empty.{suffix}", b"", "AudioEmpty")
        for number in range(5):
            random = np.random.default_rng(number)
            yield one(f"random-{number}.{suffix}", random.bytes(int(random.integers(1, 20000))))


def joined() -> Iterator[Case]:
    for kind, content in whole_files().items():
        name = kind.replace(".", "-")
        yield one(f"twice-{name}.{suffix_of(kind)}", content + content)
        yield one(f"garbage-after-{name}.{suffix_of(kind)}", content + b"\0\x17" * 1000)
        yield one(f"garbage-before-{name}.{suffix_of(kind)}", b"\0\x17" * 50 + content)
    tagged = id3(len(png()), png())
    yield one("tagged.mp3", tagged + encoded("MP3"), READ)
    yield one("tagged-twice.mp3", tagged + tagged + encoded("MP3"), READ)
    yield one("tagged.flac", id3(100, bytes(100)) + encoded("FLAC"), READ)


@functools.cache
def hour(kind: str) -> bytes:
    """An hour of a tone that comes and goes."""
    file = io.BytesIO()
    rate = 8000
    minute = np.zeros(60 * rate, np.float32)
    minute[: 2 * rate] = speech(2.0, rate)
    subtype = "PCM_U8" if kind == "WAV" else "PCM_16"
    with soundfile.SoundFile(file, "w", rate, 1, format=kind, subtype=subtype) as written:
        for _ in range(60):
            written.write(minute)
    return file.getvalue()


def hours() -> Iterator[Case]:
    yield Case("hour.flac", lambda: hour("FLAC"), frozenset({READ}))
    yield Case("hour.wav", lambda: hour("WAV"), frozenset({READ}))


KINDS: tuple[Callable[[], Iterator[Case]], ...] = (
    truncated, damaged, misnamed, unusual_formats, lengths, values, claims, no_recordings, joined, hours,
)  # fmt: skip


def all_cases() -> list[Case]:
    """Every case, once."""
    return [case for kind in KINDS for case in kind()]


def named(*names: str) -> list[Any]:
    """The cases of these names."""
    by_name = {case.name: case for case in all_cases()}
    return [by_name[name] for name in names]
