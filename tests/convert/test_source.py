"""How recordings are heard by the conventions of RVC2: as the original hears them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import soundfile

from rvc.audio import SpooledAudio
from rvc.contract import ContentEncoder, PitchMethod
from rvc.errors import Terminated
from rvc.source import Hearing, Source, Transposition, analyse
from tests.convert.attentive import RVC2
from tests.fixtures.sounds import voice_like

HEARING = Hearing(RVC2, padding_frames=100, transposition=Transposition(0), filter_radius=0)


class FakePitch:
    """200 Hz, but for every third frame."""

    name = PitchMethod.PRAAT
    hertz = 200.0

    def __call__(self, audio: np.ndarray) -> np.ndarray:
        f0 = np.full(len(audio) // 160, self.hertz, np.float32)
        f0[::3] = 0
        return f0


class FakeContent:
    """The first sample of each row; tells its blocks."""

    name = ContentEncoder.AUTO
    dimension = 1
    digest = "sha256:" + "0" * 64
    blocks_given = 0

    def __call__(self, audio: np.ndarray) -> np.ndarray:
        return np.asarray(audio[::320])[:, None]

    def encode_range(self, audio: np.ndarray, first_frame: int, last_frame: int) -> np.ndarray:
        return self(audio)[first_frame:last_frame]

    def encode_blocks(self, audio: np.ndarray) -> Iterator[np.ndarray]:
        for block in np.array_split(self(audio), 4):
            self.blocks_given += 1
            yield block


def heard(audio: np.ndarray, folder: Path, hearing: Hearing = HEARING, **options: object) -> Source:
    soundfile.write(folder / "source.wav", audio, 16000, subtype="FLOAT")
    with SpooledAudio.open(folder / "source.wav", folder) as spool:
        return analyse(spool, folder, FakeContent(), FakePitch(), hearing, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("samples", [1, 2, 100, 15999, 33333])
@pytest.mark.parametrize("factor", [1.0, 5.0])
def test_it_is_limited_filtered_and_mirrored_as_in_the_original(
    tmp_path: Path, samples: int, factor: float
) -> None:
    audio = factor * voice_like(3.0, 150.0)[1000 : 1000 + samples]
    source = heard(audio, tmp_path)
    limited = audio / max(1, np.abs(audio).max() / 0.95)
    sections = scipy.signal.butter(5, 48, "highpass", fs=16000, output="sos")
    filtered = scipy.signal.sosfiltfilt(sections, limited, padlen=min(18, samples - 1))
    np.testing.assert_allclose(source.recording, filtered, atol=1e-6)
    padded = np.pad(filtered, 16000, mode="reflect")
    np.testing.assert_allclose(source.audio[: len(padded)], padded, atol=1e-6)
    assert len(source.audio) == 160 * (source.frames + 200)
    assert source.loudness_gain == 1
    assert len(source.f0_hertz) == len(source.levels) == 2 * len(source.content) == source.frames + 200


def test_f0_is_taken_as_the_method_gives_it(tmp_path: Path) -> None:
    audio = voice_like(1.0, 150.0)
    audio[8000:] *= 1e-4
    source = heard(audio, tmp_path)
    assert source.voiced.tolist() == (np.arange(300) % 3 > 0).tolist(), "in what is quiet, too"
    assert source.voiced_percent == 67


def test_a_recording_is_brought_to_the_pitch_of_the_voice(tmp_path: Path) -> None:
    hearing = Hearing(RVC2, 100, Transposition(1, towards_hertz=283.0), 0)
    source = heard(voice_like(1.0, 150.0), tmp_path, hearing)
    assert source.semitones == 6 + 1
    assert source.median_f0_hertz == pytest.approx(200 * 2 ** (7 / 12), abs=0.1)


def test_a_stop_during_the_analysis_is_heeded(tmp_path: Path) -> None:
    asked = iter([False, False, False, True])
    with pytest.raises(Terminated):
        heard(voice_like(1.0, 150.0), tmp_path, stop=lambda: next(asked))
