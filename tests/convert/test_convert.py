import dataclasses
import shutil
import tracemalloc
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile
import torch

from rvc.audio import load_audio
from rvc.contract import AudioFormat, ConversionParameters, PitchMethod
from rvc.convert import Converter, exactly, soft_clipped
from rvc.errors import InvalidAudio, InvalidConfiguration, Terminated
from rvc.pitch import load_pitch
from rvc.retrieval import build_index
from rvc.tiles import MEDIAN_F0, median_f0_of
from rvc.voice import INDEX_NAME, Voice
from tests.fixtures.sounds import voice_like
from tests.train.recordings import write_bad_recordings

DEFAULTS = ConversionParameters()


def recording(folder: Path, seconds: float, rate: int = 16000) -> Path:
    path = folder / f"source-{rate}-{seconds}.wav"
    soundfile.write(path, voice_like(seconds, 150.0, rate), rate)
    return path


@pytest.mark.parametrize(
    ("seconds", "rate", "resample", "format"),
    [
        (3.0, 16000, 0, AudioFormat.WAV),
        (2.71828, 44100, 0, AudioFormat.FLAC),
        (1.2345, 48000, 44100, AudioFormat.WAV),
        (1.0, 8000, 16000, AudioFormat.OGG),
        (1.5, 22050, 0, AudioFormat.MP3),
        (0.3, 16000, 0, AudioFormat.WAV),
        (0.02, 16000, 0, AudioFormat.WAV),
    ],
)
def test_the_output_is_exactly_as_long_as_the_input(
    converter: Converter, tmp_path: Path, seconds: float, rate: int, resample: int, format: AudioFormat
) -> None:
    source = recording(tmp_path, seconds, rate)
    target = tmp_path / f"converted.{format.lower()}"
    parameters = ConversionParameters(resample_hertz=resample)
    report = converter.convert(source, target, parameters, format, tmp_path)
    written = soundfile.info(target)
    expected_rate = resample or 32000
    assert written.samplerate == report.sample_rate_hertz == expected_rate
    frames = soundfile.info(source).frames
    assert written.frames == report.frames == int(frames * expected_rate / rate + 0.5)
    assert report.seconds == pytest.approx(seconds, abs=1e-3)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([source.name, target.name])


def test_converting_again_gives_the_same_file(converter: Converter, tmp_path: Path) -> None:
    source = recording(tmp_path, 2.0)
    for name in ("one.wav", "two.wav"):
        converter.convert(source, tmp_path / name, DEFAULTS, AudioFormat.WAV, tmp_path)
    assert (tmp_path / "one.wav").read_bytes() == (tmp_path / "two.wav").read_bytes()


def test_f0_follows_the_source_and_the_transposition(
    converter: Converter, tmp_path: Path, base_models: Path
) -> None:
    source = recording(tmp_path, 3.0)
    target = tmp_path / "converted.wav"
    pitch = load_pitch(PitchMethod.AUTO, base_models, torch.device("cpu"))
    for semitones in (0, 7):
        parameters = ConversionParameters(transpose_semitones=semitones)
        report = converter.convert(source, target, parameters, AudioFormat.WAV, tmp_path)
        assert report.median_f0_hertz == pytest.approx(150 * 2 ** (semitones / 12), rel=0.02)
        heard = pitch(load_audio(target, 16000))
        assert np.median(heard[heard > 0]) == pytest.approx(150 * 2 ** (semitones / 12), rel=0.02)


def test_a_stop_leaves_nothing(converter: Converter, tmp_path: Path) -> None:
    source = recording(tmp_path, 1.0)
    with pytest.raises(Terminated):
        converter.convert(source, tmp_path / "x.wav", DEFAULTS, AudioFormat.WAV, tmp_path, stop=lambda: True)
    assert list(tmp_path.iterdir()) == [source]


def test_progress_goes_to_1(converter: Converter, tmp_path: Path) -> None:
    shares: list[float] = []
    source = recording(tmp_path, 24.0)
    converter.convert(
        source, tmp_path / "x.wav", DEFAULTS, AudioFormat.WAV, tmp_path, on_progress=shares.append
    )
    assert shares == sorted(shares)
    assert len(shares) == 3
    assert shares[-1] == 1


@pytest.mark.parametrize(
    ("name", "reason"),
    [("empty.wav", "AudioEmpty"), ("text.wav", "AudioUndecodable"), ("silent.wav", "AudioSilent")],
)
def test_what_is_no_recording_is_refused_and_leaves_nothing(
    converter: Converter, tmp_path: Path, name: str, reason: str
) -> None:
    bad = write_bad_recordings(tmp_path / "bad")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with pytest.raises(InvalidAudio) as raised:
        converter.convert(bad / name, scratch / "x.wav", DEFAULTS, AudioFormat.WAV, scratch)
    assert raised.value.reason == reason
    assert not list(scratch.iterdir())


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (ConversionParameters(speaker_id=1), "speakerId 1 is not in the voice test"),
        (ConversionParameters(resample_hertz=4000), "resampleHertz 4000 is too low"),
        (ConversionParameters(pitch_method=PitchMethod.RMVPE), "(?i)rmvpe"),
    ],
)
def test_what_the_voice_cannot_do_is_refused(
    converter: Converter, tmp_path: Path, parameters: ConversionParameters, message: str
) -> None:
    source = recording(tmp_path, 1.0)
    with pytest.raises(InvalidConfiguration, match=message):
        converter.convert(source, tmp_path / "x.wav", parameters, AudioFormat.WAV, tmp_path)


def test_a_voice_of_another_content_encoder_is_refused(voice: Voice, base_models: Path) -> None:
    other = msgspec.structs.replace(voice.manifest.content_encoder, digest="sha256:" + "0" * 64)
    manifest = msgspec.structs.replace(voice.manifest, content_encoder=other)
    with pytest.raises(InvalidConfiguration, match="was trained with Small sha256:000"):
        Converter(dataclasses.replace(voice, manifest=manifest), base_models, torch.device("cpu"))


def test_memory_does_not_grow_with_the_recording(converter: Converter, tmp_path: Path) -> None:
    peaks = []
    for seconds in (32, 64):
        source = recording(tmp_path, seconds)
        tracemalloc.start()
        converter.convert(source, tmp_path / "x.wav", DEFAULTS, AudioFormat.WAV, tmp_path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]


def test_blocks_are_cut_or_filled_up_to_a_length() -> None:
    blocks = [np.ones(5, np.float32), np.ones(5, np.float32)]
    assert [len(np.concatenate(list(exactly(blocks, samples)))) for samples in (0, 3, 10, 12)] == [
        0,
        3,
        10,
        12,
    ]
    assert np.concatenate(list(exactly(blocks, 12)))[9:].tolist() == [1, 0, 0]


def test_loud_samples_are_bent_below_full_scale_and_the_others_left() -> None:
    loud = np.linspace(-3, 3, 601).astype(np.float32)
    bent = soft_clipped(loud)
    assert np.abs(bent).max() <= 1
    assert (np.diff(bent) >= 0).all()
    assert np.array_equal(bent[np.abs(loud) <= 0.9], loud[np.abs(loud) <= 0.9])


def test_the_level_of_a_recording_changes_nothing_but_the_loudness(
    converter: Converter, tmp_path: Path
) -> None:
    parameters = ConversionParameters(rms_mix_rate_percent=0)
    sound = {}
    for factor in (0.01, 1.0, 1.9, 8.0):
        soundfile.write(tmp_path / "in.wav", factor * voice_like(3.0, 150.0), 16000, subtype="FLOAT")
        converter.convert(tmp_path / "in.wav", tmp_path / "x.wav", parameters, AudioFormat.WAV, tmp_path)
        sound[factor], _ = soundfile.read(tmp_path / "x.wav")
    rms = {factor: np.sqrt(np.mean(samples**2)) for factor, samples in sound.items()}
    assert rms[0.01] / rms[1.0] == pytest.approx(0.01, rel=0.05)
    assert rms[8.0] == pytest.approx(rms[1.9], rel=0.02), "over full scale, so turned down to a peak of 0.95"


def test_messages_call_the_recording_by_the_name_that_people_know(
    converter: Converter, tmp_path: Path
) -> None:
    bad = write_bad_recordings(tmp_path / "bad")
    for name in ("empty.wav", "text.wav", "silent.wav"):
        with pytest.raises(InvalidAudio, match=r"^letters/7\.wav: "):
            converter.convert(
                bad / name, tmp_path / "x.wav", DEFAULTS, AudioFormat.WAV, tmp_path, name="letters/7.wav"
            )


def test_automatic_transposition_goes_to_the_pitch_of_the_voice(
    converter: Converter, voice: Voice, tmp_path: Path
) -> None:
    source = recording(tmp_path, 3.0)
    parameters = ConversionParameters(automatic_transpose=True)
    report = converter.convert(source, tmp_path / "x.wav", parameters, AudioFormat.WAV, tmp_path)
    own = voice.manifest.statistics[MEDIAN_F0]
    assert report.transpose_semitones == round(12 * np.log2(own / 150))
    assert abs(12 * np.log2(own / report.median_f0_hertz)) < 0.7


def test_automatic_transposition_goes_to_the_pitch_of_the_speaker(
    converter: Converter, voice: Voice, base_models: Path
) -> None:
    told = {MEDIAN_F0: 160.0, f"{MEDIAN_F0}.0": 110.0, f"{MEDIAN_F0}.1": 0.0}
    several = Converter(changed(voice, statistics=told), base_models, torch.device("cpu"))
    pitch = several.pitch_extractor(PitchMethod.AUTO)
    hearing = several.hearing(ConversionParameters(automatic_transpose=True), pitch)
    assert hearing.transposition.towards_hertz == 110
    assert median_f0_of(told, 1) == 160, "of a speaker who never spoke all together have to do"


def changed(voice: Voice, **fields: object) -> Voice:
    return dataclasses.replace(voice, manifest=msgspec.structs.replace(voice.manifest, **fields))


def test_automatic_transposition_to_a_voice_that_does_not_tell_its_pitch_is_refused(
    voice: Voice, base_models: Path, tmp_path: Path
) -> None:
    unknown = Converter(changed(voice, statistics={}), base_models, torch.device("cpu"))
    parameters = ConversionParameters(automatic_transpose=True)
    with pytest.raises(InvalidConfiguration, match="set transposeSemitones instead") as raised:
        unknown.convert(recording(tmp_path, 1.0), tmp_path / "x.wav", parameters, AudioFormat.WAV, tmp_path)
    assert raised.value.reason == "VoicePitchUnknown"


def test_a_voice_from_elsewhere_makes_do_with_the_pitch_method_that_there_is(
    voice: Voice, base_models: Path, caplog: pytest.LogCaptureFixture
) -> None:
    elsewhere = changed(voice, parameters=None, pitch_method=PitchMethod.RMVPE)
    converter = Converter(elsewhere, base_models, torch.device("cpu"))
    assert converter.pitch_extractor(PitchMethod.AUTO).name == PitchMethod.FCPE
    assert "test uses the pitch method FCPE" in caplog.text
    with pytest.raises(InvalidConfiguration):
        Converter(changed(voice, pitch_method=PitchMethod.RMVPE), base_models, torch.device("cpu"))


def test_an_index_of_another_width_is_refused(voice: Voice, base_models: Path, tmp_path: Path) -> None:
    folder = tmp_path / "voice"
    shutil.copytree(voice.folder, folder)
    (folder / INDEX_NAME).write_bytes(build_index(np.zeros((50, 8), np.float32), seed=0))
    with pytest.raises(InvalidConfiguration, match="8 wide") as raised:
        Converter(dataclasses.replace(voice, folder=folder), base_models, torch.device("cpu"))
    assert raised.value.reason == "IndexMismatch"
