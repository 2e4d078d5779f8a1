from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile

from rvc.architectures import Conventions
from rvc.dataset.hearing import hear
from rvc.dataset.recordings import Recording, Refusal
from rvc.dataset.report import DatasetReport, RecordingReport, clipped_percent, report_on
from tests.fixtures.sounds import voice_like

RVC2 = Conventions(standardizes_content=False, levels_speech=False, gates_f0=False)
GOOD = RecordingReport(
    name="a.wav",
    speaker="",
    seconds=700.0,
    kept_seconds=650.0,
    dropped_seconds={"Pause": 50.0},
    clipped_percent=0.0,
    silent_percent=10.0,
    noise_floor_decibels=-70.0,
    signal_to_noise_decibels=55.0,
    pitch_hertz=(90.0, 110.0, 160.0),
)


def change(**fields: object) -> RecordingReport:
    return msgspec.structs.replace(GOOD, **fields)


def warnings(*recordings: RecordingReport, speakers: tuple[str, ...] = ()) -> tuple[str, ...]:
    return report_on(recordings, [], None, speakers).warnings


def test_good_recordings_bring_no_warning() -> None:
    assert warnings(GOOD) == ()
    assert warnings(change(kept_seconds=598.0)) == ()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kept_seconds": 200.0}, "3.3 minutes of speech are little"),
        ({"clipped_percent": 0.5}, "clipped: a.wav"),
        ({"signal_to_noise_decibels": 12.0}, "noisy: a.wav"),
        ({"silent_percent": 80.0}, "mostly silence: a.wav"),
    ],
)
def test_what_is_bad_is_warned_of(fields: dict[str, object], words: str) -> None:
    (warning,) = warnings(change(**fields))
    assert warning.startswith(words)


def test_pitches_far_apart_hint_at_several_speakers() -> None:
    other = change(name="b.wav", pitch_hertz=(180.0, 220.0, 300.0))
    (warning,) = warnings(GOOD, other)
    assert "a.wav is spoken at 110 Hz and b.wav at 220 Hz" in warning
    assert warnings(GOOD, other, speakers=("x", "y")) == ()
    assert warnings(GOOD, change(pitch_hertz=None)) == ()


def test_only_three_names_are_shown() -> None:
    noisy = [change(name=f"{n}.wav", signal_to_noise_decibels=1.0) for n in range(5)]
    assert "0.wav, 1.wav, 2.wav and 2 more" in warnings(*noisy)[0]


def test_a_report_is_json_and_a_few_lines(tmp_path: Path) -> None:
    report = report_on([GOOD], [Refusal("b.wav", "AudioEmpty", "b.wav: 0 bytes")], (90.0, 110.0, 160.0), ())
    report.write(tmp_path / "dataset.json")
    assert msgspec.json.decode((tmp_path / "dataset.json").read_bytes(), type=DatasetReport) == report
    assert report.summary == (
        "10.8 minutes of speech from 1 recordings of 11.7 minutes, F0 90 to 160 Hz, median 110 Hz; "
        "1 recordings refused"
    )
    assert report.complaints() == ["recording not used: b.wav: 0 bytes"]
    head, row = report.table()
    assert head.split()[-1] == "recording"
    assert row.split() == [
        "650.0",
        "s",
        "700.0",
        "s",
        "0.00",
        "%",
        "10.0",
        "%",
        "-70",
        "dB",
        "55",
        "dB",
        "110",
        "Hz",
        "a.wav",
    ]


@pytest.mark.parametrize(("gain", "share"), [(0.9, 0.0), (1.0, 0.0), (4.0, 83.9)])
def test_clipping_is_flat_tops_at_full_scale(tmp_path: Path, gain: float, share: float) -> None:
    tone = np.sin(2 * np.pi * 4000.7 * np.arange(200000) / 48000)
    soundfile.write(tmp_path / "a.wav", np.clip(gain * tone, -1, 1), 48000)
    assert clipped_percent(tmp_path / "a.wav") == pytest.approx(share, abs=0.5)


def test_a_recording_is_measured(tmp_path: Path) -> None:
    speech = voice_like(4.0, 180.0)
    sound = np.concatenate([speech, np.zeros(64000, np.float32), speech])
    sound += (1e-3 * np.random.default_rng(0).standard_normal(len(sound))).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", sound, 16000, subtype="FLOAT")
    recording = Recording("a.wav", tmp_path / "a.wav", "1" * 64)
    tracks: list[int] = []

    def pitch(audio: np.ndarray) -> np.ndarray:
        tracks.append(len(audio))
        return np.full(len(audio) // 160, 180.0, np.float32)

    heard = hear(recording, pitch, RVC2, "ann")
    report = heard.report
    assert (report.name, report.speaker, report.seconds) == ("a.wav", "ann", 12.0)
    assert report.kept_seconds + report.dropped_seconds["Pause"] == pytest.approx(12.0, abs=0.05)
    assert 8.0 <= report.kept_seconds <= 9.1
    assert report.silent_percent == pytest.approx(33, abs=2)
    assert report.noise_floor_decibels == pytest.approx(-60, abs=1.5)
    assert report.signal_to_noise_decibels == pytest.approx(44, abs=3)
    assert report.pitch_hertz == (180.0, 180.0, 180.0)
    assert len(heard.clips) == 2
    assert tracks == [12 * 16000]
    gated = hear(recording, pitch, replace(RVC2, gates_f0=True), "ann").f0_hertz
    assert not gated[450:750].any()
    assert heard.f0_hertz.all()
