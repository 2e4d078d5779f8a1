from pathlib import Path

import numpy as np
import pytest
import soundfile

from rvc.audio import SpooledAudio, output_frames
from rvc.contract import AudioFormat, ConversionParameters
from rvc.convert import Converter
from rvc.errors import InvalidAudio, InvalidConfiguration
from rvc.listening import SpeakerStatistics
from rvc.pitch import PitchMethod
from rvc.quality.spectrum import mel_distance_decibels
from rvc.source import Hearing, Transposition, analyse
from rvc.streaming import StreamSettings, VoiceStream
from rvc.tiles import TileSettings, VoiceTiles
from tests.convert.attentive import HOP, RVC2, Attentive
from tests.convert.test_source import FakeContent
from tests.fixtures.sounds import voice_like

PLAIN = ConversionParameters()
OWN_LOUDNESS = ConversionParameters(rms_mix_rate_percent=100)


class OddPitch:
    """No whole number of periods in a frame."""

    name = PitchMethod.PRAAT

    def __call__(self, audio: np.ndarray) -> np.ndarray:
        return np.full(len(audio) // 160, 213, np.float32)


class AttentiveConverter:
    """Stands in for a converter whose networks cost nothing."""

    encoder = FakeContent()

    def __init__(self, synthesizer: Attentive) -> None:
        self.tiles = VoiceTiles(synthesizer, index=None, content_moments=None, level_moments=None)

    def pitch_extractor(self, method: PitchMethod) -> OddPitch:
        return OddPitch()

    def hearing(self, parameters: ConversionParameters, pitch: object) -> Hearing:
        return Hearing(RVC2, self.tiles.synthesizer.padding_frames, Transposition(0), filter_radius=0)


def streamed(stream: VoiceStream, audio: np.ndarray, seed: int = 0) -> np.ndarray:
    """All of it, pushed in pieces of any length."""
    cuts = np.sort(np.random.default_rng(seed).integers(0, len(audio) + 1, 40))
    return np.concatenate([*(stream.push(piece) for piece in np.split(audio, cuts)), stream.finish()])


def without_networks(
    settings: StreamSettings | None = None, rate: int = 16000, **sizes: float
) -> VoiceStream:
    converter = AttentiveConverter(Attentive(**sizes))  # type: ignore[arg-type]
    return VoiceStream(converter, OWN_LOUDNESS, rate, settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 192000])
@pytest.mark.parametrize("settings", [StreamSettings(), StreamSettings(20, 6, 30, 2)])
def test_no_more_is_held_back_than_the_latency(rate: int, settings: StreamSettings) -> None:
    stream = without_networks(settings, rate)
    audio = (0.1 * np.random.default_rng(0).standard_normal(2 * rate)).astype(np.float32)
    pushed = given = 0
    for piece in np.array_split(audio, 97):
        pushed += len(piece)
        given += len(stream.push(piece))
        frames = pushed * 100 / rate
        assert given <= frames * HOP
        assert given / HOP >= frames - stream.latency_frames
    given += len(stream.finish())
    assert given == output_frames(len(audio), rate, 16000)
    assert (rate == 16000) == (stream.latency_frames == settings.chunk_frames + settings.look_ahead_frames)


@pytest.mark.parametrize("samples", [0, 1, 159, 161, 8000, 33333])
def test_it_is_as_long_as_what_was_pushed(samples: int) -> None:
    assert len(streamed(without_networks(), voice_like(3.0, 150.0)[:samples])) == samples


@pytest.mark.parametrize("padding_frames", [0, 100])
def test_without_attention_it_is_the_whole_files_sound(tmp_path: Path, padding_frames: int) -> None:
    audio = voice_like(5.0, 150.0)
    sizes = {"attention": 0.0, "noise": 0.1, "excitation": 0.2, "padding_frames": padding_frames}
    live = streamed(without_networks(**sizes), audio)
    soundfile.write(tmp_path / "a.wav", audio, 16000, subtype="FLOAT")
    converter = AttentiveConverter(Attentive(**sizes))  # type: ignore[arg-type]
    with SpooledAudio.open(tmp_path / "a.wav", tmp_path) as spool:
        hearing = converter.hearing(PLAIN, None)
        source = analyse(spool, tmp_path, FakeContent(), OddPitch(), hearing)
        whole = np.concatenate(list(converter.tiles.synthesize(source, TileSettings(0, 0.5, 0))))
    # Both bend what is over 0.9; a filter that sees a stretch differs a little at its ends.
    loud = np.abs(whole) > 0.85
    np.testing.assert_allclose(live[~loud], whole[~loud], atol=5e-3)


def test_chunks_that_disagree_are_faded() -> None:
    hard, soft = (
        streamed(without_networks(StreamSettings(fade_frames=fade)), voice_like(3.0, 150.0))
        for fade in (0, 20)
    )
    joins = np.arange(1, 6) * 50 * HOP
    assert np.abs(np.diff(hard))[joins - 1].max() > 2 * np.abs(np.diff(soft))[joins - 1].max()


def test_pieces_of_any_length_give_the_same() -> None:
    audio = voice_like(2.0, 150.0)
    assert np.array_equal(streamed(without_networks(), audio, 1), streamed(without_networks(), audio, 2))


def whole_file(converter: Converter, audio: np.ndarray, folder: Path) -> np.ndarray:
    soundfile.write(folder / "in.wav", audio, 16000, subtype="FLOAT")
    converter.convert(folder / "in.wav", folder / "out.wav", OWN_LOUDNESS, AudioFormat.WAV, folder)
    return np.asarray(soundfile.read(folder / "out.wav", dtype="float32")[0])


def statistics(converter: Converter, audio: np.ndarray, folder: Path) -> SpeakerStatistics:
    soundfile.write(folder / "in.wav", audio, 16000, subtype="FLOAT")
    pitch = converter.pitch_extractor(PitchMethod.AUTO)
    with SpooledAudio.open(folder / "in.wav", folder) as spool:
        hearing = converter.hearing(OWN_LOUDNESS, pitch)
        return SpeakerStatistics.of(analyse(spool, folder, converter.encoder, pitch, hearing))


@pytest.fixture(scope="module")
def spoken() -> np.ndarray:
    time = np.arange(6 * 16000) / 16000
    return voice_like(6.0, 140 + 30 * np.sin(2 * np.pi * 0.3 * time))


def test_light_with_known_statistics_is_nearly_the_whole_files_sound(
    converter: Converter, tmp_path: Path, spoken: np.ndarray
) -> None:
    whole = whole_file(converter, spoken, tmp_path)
    known = statistics(converter, spoken, tmp_path)
    live = streamed(VoiceStream(converter, OWN_LOUDNESS, statistics=known), spoken)
    assert len(live) == len(whole)
    assert np.corrcoef(live, whole)[0, 1] > 0.95
    assert mel_distance_decibels(live, whole, converter.sample_rate_hertz) < 1.0


def test_light_that_learns_the_speaker_by_and_by_comes_near(
    converter: Converter, tmp_path: Path, spoken: np.ndarray
) -> None:
    whole = whole_file(converter, spoken, tmp_path)
    live = streamed(VoiceStream(converter, OWN_LOUDNESS), spoken)
    late = slice(len(whole) // 2, None)
    assert mel_distance_decibels(live[late], whole[late], converter.sample_rate_hertz) < 1.5


def test_loudness_follows_the_source(converter: Converter, spoken: np.ndarray) -> None:
    parameters = ConversionParameters(rms_mix_rate_percent=0)
    live = streamed(VoiceStream(converter, parameters), spoken)
    ours, theirs = np.std(live[32000:]), np.std(spoken[16000:])
    assert ours == pytest.approx(theirs, rel=0.15)


def test_automatic_transposition_settles(converter: Converter, spoken: np.ndarray) -> None:
    stream = VoiceStream(converter, ConversionParameters(automatic_transpose=True))
    live = streamed(stream, spoken)
    pitch = converter.pitch_extractor(PitchMethod.AUTO)
    f0 = pitch(live[::2].copy())
    assert np.median(f0[f0 > 0]) == pytest.approx(200, rel=0.12)


def test_what_cannot_be_streamed_is_refused(converter: Converter) -> None:
    for wrong in ((0, 20, 300, 4), (51, 20, 300, 4), (50, 2, 300, 4), (50, 20, -2, 4)):
        with pytest.raises(InvalidConfiguration):
            StreamSettings(*wrong)
    with pytest.raises(InvalidConfiguration, match="4000 Hz"):
        VoiceStream(converter, PLAIN, 4000)
    with pytest.raises(InvalidAudio) as raised:
        VoiceStream(converter, PLAIN).push(np.float32([0, np.nan]))
    assert raised.value.reason == "AudioNotFinite"
