import struct
from contextlib import suppress
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from rvc.audio import load_audio, open_audio
from rvc.errors import InvalidAudio, ObjectNotFound
from tests.audio.files import halve, noise, write, write_m4a, write_wavpack
from tests.fixtures.sounds import voice_like


def read(path: Path) -> np.ndarray:
    with open_audio(path) as reader:
        return np.concatenate(list(reader.blocks()))


def refusal(path: Path) -> InvalidAudio:
    with pytest.raises(InvalidAudio) as caught:
        load_audio(path, 16000)
    assert path.name in str(caught.value), "the message names the file"
    assert ";" in str(caught.value), "the message says what to do"
    return caught.value


@pytest.mark.parametrize(
    ("name", "options", "tolerance"),
    [
        ("a.wav", {"subtype": "FLOAT"}, 1e-7),
        ("a.wav", {"subtype": "PCM_U8"}, 1 / 100),
        ("a.wav", {"subtype": "PCM_24"}, 1e-6),
        ("a.flac", {"subtype": "PCM_16"}, 1 / 30000),
    ],
)
def test_channels_are_averaged(tmp_path, name, options, tolerance):
    audio = noise(5000, 2)
    path = write(tmp_path / name, audio, **options)
    np.testing.assert_allclose(read(path), audio.mean(axis=1), atol=tolerance)


@pytest.mark.parametrize("name", ["a.mp3", "a.ogg"])
@pytest.mark.parametrize("frames", [1, 100, 1152, 30011])
def test_lossy_formats_keep_their_length(tmp_path, name, frames):
    assert len(read(write(tmp_path / name, noise(frames)))) == frames


def silent_then_loud() -> np.ndarray:
    """Nine seconds of silence, which takes few bits, and one of noise, which takes many."""
    audio = noise(480_000)
    audio[:432_000] = 0
    return audio


@pytest.mark.parametrize("tags", [b"", b"ID3\x04\0\0\0\0\x01\x48" + bytes(200)])
def test_mp3_of_variable_bit_rate_that_does_not_state_its_length(tmp_path, tags):
    audio = silent_then_loud()[::-1]
    path = tmp_path / "a.mp3"
    soundfile.write(path, audio, 48000, bitrate_mode="VARIABLE", compression_level=0.9)
    content = path.read_bytes()
    second_frame = content.index(content[:2], 4)
    assert b"Xing" in content[:second_frame] or b"Info" in content[:second_frame]
    path.write_bytes(tags + content[second_frame:])
    assert len(read(path)) == pytest.approx(len(audio), abs=2500)
    path.write_bytes(tags + content)
    assert len(read(path)) == len(audio)


def test_adts_states_no_duration(tmp_path):
    audio = silent_then_loud()
    path = write_m4a(tmp_path / "a.aac", audio, 48000)
    assert len(read(path)) == pytest.approx(len(audio), abs=3000)


def test_24_channels(tmp_path):
    audio = noise(4000, 24)
    path = write(tmp_path / "a.wav", audio, subtype="FLOAT")
    with open_audio(path) as reader:
        assert reader.channels == 24
        np.testing.assert_allclose(np.concatenate(list(reader.blocks(999))), audio.mean(axis=1), atol=1e-6)


def test_384_kilohertz(tmp_path):
    path = write(tmp_path / "a.wav", noise(192_000), 384_000)
    assert len(load_audio(path, 16000)) == 8000


def test_m4a_is_decoded_without_its_priming(tmp_path):
    audio = voice_like(1.0, 150.0, 44100)
    decoded = read(write_m4a(tmp_path / "a.m4a", audio))
    assert len(audio) <= len(decoded) < len(audio) + 1024, "AAC ends on a whole packet"
    assert np.corrcoef(audio, decoded[: len(audio)])[0, 1] > 0.95


def test_many_channels_through_ffmpeg(tmp_path):
    audio = noise(4000, 16)
    path = write_wavpack(tmp_path / "a.wv", audio, "hexadecagonal")
    np.testing.assert_allclose(read(path), audio.mean(axis=1), atol=1 / 100)


def test_titles_that_are_no_unicode(tmp_path):
    path = write_m4a(tmp_path / "a.m4a", noise(5000), title="plain title")
    path.write_bytes(path.read_bytes().replace(b"plain title", "Grüße".encode("latin-1") + b"\0" * 6))
    assert len(read(path)) > 0


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.ogg", "a.m4a"])
def test_damaged_files_are_decoded_or_refused(tmp_path, name):
    path = tmp_path / name
    whole = (write_m4a if name == "a.m4a" else write)(path, noise(20000)).read_bytes()
    random = np.random.default_rng(11)
    for _ in range(40):
        damaged = bytearray(whole[: random.integers(1, len(whole))] if random.random() < 0.3 else whole)
        for place in random.integers(0, min(len(damaged), random.choice([64, 400, 10**6])), 6):
            damaged[place] = random.integers(256)
        path.write_bytes(damaged)
        with suppress(InvalidAudio):
            assert np.isfinite(load_audio(path, 16000)).all()


@pytest.mark.parametrize("rate", [1, 999])
def test_sample_rates_that_are_none(tmp_path, rate):
    assert f"{rate} Hz" in str(refusal(write(tmp_path / "a.wav", noise(1000), rate)))


def test_wav_of_unknown_length_is_read_to_its_end(tmp_path):
    path = write(tmp_path / "a.wav", noise(1000), subtype="PCM_16")
    streamed = bytearray(path.read_bytes())
    streamed[4:8] = streamed[40:44] = struct.pack("<I", 0xFFFFFFFF)
    path.write_bytes(streamed)
    assert len(read(path)) == 1000


def test_text_is_no_audio(tmp_path):
    path = tmp_path / "a.wav"
    path.write_text("This is not a recording.\n" * 20)
    assert refusal(path).reason == "AudioUndecodable"


def test_empty_file(tmp_path):
    path = tmp_path / "a.wav"
    path.touch()
    assert refusal(path).reason == "AudioEmpty"


def test_header_without_samples(tmp_path):
    assert refusal(write(tmp_path / "a.wav", noise(0))).reason == "AudioEmpty"


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3"])
def test_cut_off_file(tmp_path, name):
    path = halve(write(tmp_path / name, noise(96000)))
    assert refusal(path).reason in ("AudioTruncated", "AudioUndecodable")


def test_cut_off_m4a(tmp_path):
    assert refusal(halve(write_m4a(tmp_path / "a.m4a", noise(96000)))).reason == "AudioUndecodable"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_sample_that_is_no_number(tmp_path, value):
    audio = noise(96000)
    audio[70001] = value
    error = refusal(write(tmp_path / "a.wav", audio, subtype="FLOAT"))
    assert error.reason == "AudioNotFinite"
    assert "sample 70001 (1.46 s)" in str(error)


@pytest.mark.parametrize("level", [0.0, 1 / 32768])
def test_silence_and_dither_alone_are_refused(tmp_path, level):
    dither = level * np.random.default_rng(0).choice([-1.0, 0.0, 1.0], 5000)
    assert refusal(write(tmp_path / "a.wav", dither, subtype="PCM_16")).reason == "AudioSilent"


def test_one_sample(tmp_path):
    one = np.array([0.5], np.float32)
    assert len(load_audio(write(tmp_path / "low.wav", one, 16000), 16000)) == 1
    assert refusal(write(tmp_path / "high.wav", one, 48000)).reason == "AudioTooShort"


@pytest.mark.parametrize(
    "playlist",
    ["#EXTM3U\n#EXTINF:1,\n{target}\n", "ffconcat version 1.0\nfile '{target}'\n", "file://{target}\n"],
)
def test_playlists_lead_nowhere(tmp_path, playlist):
    target = write(tmp_path / "secret.wav", noise(5000))
    path = tmp_path / "a.wav"
    path.write_text(playlist.format(target=target))
    assert refusal(path).reason == "AudioUndecodable"


def test_picture_has_no_sound(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 64
        container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode(None))
    assert "no sound" in str(refusal(path))


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(ObjectNotFound, match=r"nowhere\.wav"):
        open_audio(tmp_path / "nowhere.wav")
    with pytest.raises(InvalidAudio, match="folder"):
        open_audio(tmp_path)


def test_extension_does_not_matter(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(1000), 48000, format="FLAC")
    assert len(read(path)) == 1000
