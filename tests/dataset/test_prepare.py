import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from rvc.architectures import Conventions
from rvc.content import ContentEncoder, load_content_encoder
from rvc.contract import ContentEncoder as ContentEncoderName
from rvc.contract import PitchMethod
from rvc.dataset.features import Extractor, FeatureKeeper
from rvc.dataset.prepare import PreparedDataset, prepare_training_set
from rvc.dataset.recordings import Recording, find_recordings, find_speakers
from rvc.errors import InvalidDataset, Terminated
from rvc.pitch import load_pitch
from tests.fixtures.sounds import voice_like
from tests.train.recordings import write_bad_recordings, write_recordings

CPU = torch.device("cpu")


class CountingEncoder:
    """The real encoder, and how often it was asked."""

    def __init__(self, encoder: ContentEncoder) -> None:
        self._encoder = encoder
        self.name, self.dimension, self.digest = encoder.name, encoder.dimension, encoder.digest
        self.calls = 0

    def __call__(self, audio: np.ndarray) -> np.ndarray:
        self.calls += 1
        return self._encoder(audio)


class OtherOutput(CountingEncoder):
    """Another layer of the same weights, as ContentVec256 is of ContentVec768."""

    def __init__(self, encoder: ContentEncoder) -> None:
        super().__init__(encoder)
        self.name = ContentEncoderName.CONTENT_VEC_256


LIGHT = Conventions(standardizes_content=True, levels_speech=True, gates_f0=True)
RVC2 = Conventions(standardizes_content=False, levels_speech=False, gates_f0=False)


@pytest.fixture(scope="module")
def extractor(base_models: Path) -> Extractor:
    encoder = CountingEncoder(load_content_encoder(ContentEncoderName.AUTO, base_models, CPU))
    return Extractor(encoder, load_pitch(PitchMethod.AUTO, base_models, CPU), 32000, LIGHT)  # type: ignore[arg-type]


class FolderKeeper:
    """Keeps features in a folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.finished = False

    def bring(self, folder: Path) -> None:
        for path in self.folder.iterdir():
            shutil.copy(path, folder)

    def keep(self, path: Path) -> None:
        shutil.copy(path, self.folder)

    def finish(self) -> None:
        self.finished = True


def prepare(
    folder: Path,
    extractor: Extractor,
    work: Path,
    conventions: Conventions = LIGHT,
    *,
    speakers: bool = False,
    keeper: FeatureKeeper | None = None,
    on_recording: Callable[[int], None] = lambda number: None,
) -> PreparedDataset:
    recordings, names = find_speakers(folder) if speakers else (find_recordings(folder), ())
    return prepare_training_set(
        recordings,
        names,
        replace(extractor, conventions=conventions),
        work,
        on_recording=on_recording,
        keeper=keeper,
    )


def test_all_arrays_share_one_timeline(tmp_path: Path, extractor: Extractor) -> None:
    prepared = prepare(write_recordings(tmp_path / "data"), extractor, tmp_path)
    dataset = prepared.training_set
    rows = len(dataset.content)
    assert rows == dataset.clip_rows[-1] == pytest.approx(3 * 5 * 50, abs=30)
    assert len(dataset.f0_hertz) == len(dataset.loudness) == 2 * rows
    assert len(dataset.audio) == rows * 640
    assert dataset.seconds == rows / 50
    for clip, f0 in enumerate((160, 200, 240)):
        first, last = 2 * dataset.clip_rows[clip : clip + 2]
        heard = dataset.f0_hertz[first:last]
        assert np.median(heard[heard > 0]) == pytest.approx(f0, rel=0.1)


def test_content_and_loudness_are_standardized(tmp_path: Path, extractor: Extractor) -> None:
    data = write_recordings(tmp_path / "data")
    standard = prepare(data, extractor, tmp_path)
    rows = standard.training_set.content.astype(np.float32)
    assert rows.mean(0) == pytest.approx(0, abs=0.05)
    assert rows.std(0) == pytest.approx(1, abs=0.1)
    assert standard.training_set.loudness.mean() == pytest.approx(0, abs=0.2)
    plain = prepare(
        data, extractor, tmp_path, replace(LIGHT, standardizes_content=False)
    ).training_set.content.astype(np.float32)
    restored = rows * (standard.content_moments.deviation + 1e-5) + standard.content_moments.mean
    assert np.abs(restored - plain).max() < 0.02 * np.abs(plain).max()


def test_recordings_come_to_one_level(tmp_path: Path, extractor: Extractor) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for name, gain in (("faint.wav", 0.02), ("loud.wav", 1.5)):
        soundfile.write(data / name, gain * voice_like(6.0, 180.0), 16000, subtype="FLOAT")
    dataset = prepare(data, extractor, tmp_path).training_set
    middle = int(dataset.clip_rows[1]) * 640
    assert dataset.audio[:middle].std() == pytest.approx(dataset.audio[middle:].std(), rel=0.05)


def test_pauses_are_cut_out_and_clips_say_where(tmp_path: Path, extractor: Extractor) -> None:
    data = tmp_path / "data"
    data.mkdir()
    speech = voice_like(6.0, 180.0)
    hiss = 1e-4 * np.random.default_rng(0).standard_normal(16000 * 4).astype(np.float32)
    soundfile.write(data / "a.wav", np.concatenate([speech, hiss, speech]), 16000)
    dataset = prepare(data, extractor, tmp_path).training_set
    assert len(dataset.clip_rows) == 3
    assert dataset.seconds == pytest.approx(13, abs=0.6)


def test_features_are_not_extracted_twice(tmp_path: Path, extractor: Extractor) -> None:
    data = write_recordings(tmp_path / "data")
    first = prepare(data, extractor, tmp_path)
    calls = extractor.content.calls  # type: ignore[attr-defined]
    again = prepare(data, extractor, tmp_path)
    assert extractor.content.calls == calls  # type: ignore[attr-defined]
    assert np.array_equal(again.training_set.content, first.training_set.content)
    assert np.array_equal(again.training_set.audio, first.training_set.audio)


@pytest.mark.parametrize("conventions", [LIGHT, RVC2])
def test_features_that_were_kept_are_not_extracted_on_another_machine(
    tmp_path: Path, extractor: Extractor, conventions: Conventions
) -> None:
    data = write_recordings(tmp_path / "data")
    keeper = FolderKeeper(tmp_path / "kept")
    first = prepare(data, extractor, tmp_path / "here", conventions, keeper=keeper)
    assert keeper.finished
    kept, made = (sum(path.stat().st_size for path in folder.iterdir())
                  for folder in (keeper.folder, tmp_path / "here" / "features"))  # fmt: skip
    assert kept < made / 2, "the sound is not worth it"
    calls = extractor.content.calls  # type: ignore[attr-defined]
    silences = 0 if conventions.levels_speech else 1
    there = prepare(data, extractor, tmp_path / "there", conventions, keeper=keeper)
    assert extractor.content.calls == calls + silences  # type: ignore[attr-defined]
    for name, array in vars(first.training_set).items():
        assert np.array_equal(getattr(there.training_set, name), array), name
    assert there.report == first.report


def test_what_was_extracted_before_a_stop_is_kept(tmp_path: Path, extractor: Extractor) -> None:
    def stop(number: int) -> None:
        if number == 2:
            raise Terminated("stopped")

    keeper = FolderKeeper(tmp_path / "kept")
    with pytest.raises(Terminated):
        prepare(write_recordings(tmp_path / "data"), extractor, tmp_path, keeper=keeper, on_recording=stop)
    assert keeper.finished
    assert len(list(keeper.folder.iterdir())) == 2


@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_a_damaged_cache_is_made_anew(tmp_path: Path, extractor: Extractor, suffix: str) -> None:
    data = write_recordings(tmp_path / "data")
    first = prepare(data, extractor, tmp_path).training_set
    expected = first.content, np.array(first.audio)
    damaged = sorted((tmp_path / "features").glob(f"*{suffix}"))[0]
    damaged.write_bytes(damaged.read_bytes()[:1000])
    again = prepare(data, extractor, tmp_path).training_set
    assert np.array_equal(again.content, expected[0])
    assert np.array_equal(again.audio, expected[1])


def test_features_of_another_release_are_made_anew(tmp_path: Path, extractor: Extractor) -> None:
    data = write_recordings(tmp_path / "data")
    first = prepare(data, extractor, tmp_path).report
    path = next((tmp_path / "features").glob("*.npz"))
    with np.load(path) as found:
        arrays = dict(found)
    np.savez(path, **arrays | {"report": np.frombuffer(b'{"name": "a.wav"}', np.uint8)})
    assert prepare(data, extractor, tmp_path).report == first


def test_bad_recordings_cost_only_themselves(tmp_path: Path, extractor: Extractor) -> None:
    data = write_bad_recordings(write_recordings(tmp_path / "data"))
    soundfile.write(data / "click.wav", voice_like(0.3, 180.0), 16000)
    prepared = prepare(data, extractor, tmp_path)
    assert len(prepared.report.recordings) == 3
    assert {(refusal.name, refusal.reason) for refusal in prepared.report.refused} == {
        ("click.wav", "AudioTooShort"),
        ("empty.wav", "AudioEmpty"),
        ("silent.wav", "AudioSilent"),
        ("text.wav", "AudioUndecodable"),
    }
    assert all(refusal.name in refusal.message for refusal in prepared.report.refused)


def test_only_bad_recordings_are_no_dataset(tmp_path: Path, extractor: Extractor) -> None:
    with pytest.raises(InvalidDataset, match=r"3 recordings give 0\.0 seconds.*empty\.wav: 0 bytes"):
        prepare(write_bad_recordings(tmp_path / "data"), extractor, tmp_path)


def test_keys_differ_with_all_that_features_depend_on(extractor: Extractor, tmp_path: Path) -> None:
    recording = Recording("a.wav", tmp_path / "a.wav", "1" * 64)
    keys = {
        extractor.key(recording),
        extractor.key(Recording("a.wav", tmp_path / "a.wav", "2" * 64)),
        replace(extractor, sample_rate_hertz=40000).key(recording),
        replace(extractor, conventions=replace(LIGHT, levels_speech=False)).key(recording),
        replace(extractor, conventions=replace(LIGHT, gates_f0=False)).key(recording),
        replace(extractor, content=OtherOutput(extractor.content)).key(recording),
    }
    assert len(keys) == 6
    assert extractor.key(Recording("b.wav", tmp_path / "b.wav", "1" * 64)) in keys


def test_recordings_that_are_not_levelled_are_followed_by_silence(
    tmp_path: Path, extractor: Extractor
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    sound = np.concatenate([0.3 * voice_like(11.0, 180.0), np.zeros(1600, np.float32)])
    soundfile.write(data / "a.wav", sound, 16000, subtype="FLOAT")
    prepared = prepare(data, extractor, tmp_path, RVC2)
    dataset = prepared.training_set
    assert dataset.clip_rows.tolist() == [0, 555, 705, 855]
    assert np.abs(dataset.audio[: 555 * 640]).max() == pytest.approx(0.15, rel=0.1)
    assert not dataset.audio[555 * 640 :].any()
    assert not dataset.f0_hertz[555 * 2 :].any()
    assert prepared.seconds == 11.1
    assert [len(rows) for rows in prepared.index_content] == [555]


def test_faint_recordings_are_not_all_silence(tmp_path: Path, extractor: Extractor) -> None:
    data = tmp_path / "data"
    data.mkdir()
    soundfile.write(data / "a.wav", 0.01 * voice_like(11.0, 180.0), 16000, subtype="FLOAT")
    assert prepare(data, extractor, tmp_path, RVC2).seconds == pytest.approx(11, abs=0.1)


def write_speakers(folder: Path, names: tuple[str, ...], files: int, seconds: float) -> Path:
    for speaker, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for number in range(files):
            sound = voice_like(seconds + number / 10, 120.0 + 80 * speaker + 0.1 * number)
            soundfile.write(folder / name / f"{number}.wav", sound, 16000)
    return folder


def test_speakers_are_kept_apart(tmp_path: Path, extractor: Extractor) -> None:
    data = write_speakers(tmp_path / "data", ("10", "9", "ann"), 1, 4.0)
    prepared = prepare(data, extractor, tmp_path, RVC2, speakers=True)
    dataset = prepared.training_set
    assert (dataset.speakers, prepared.report.speakers) == (3, ("9", "10", "ann"))
    assert dataset.clip_speakers.tolist() == [1, 0, 2, 0, 0, 1, 1, 2, 2]
    assert prepared.speaker_medians_hertz == pytest.approx((200, 120, 280), rel=0.1)
    assert [one.speaker for one in prepared.report.recordings] == ["10", "9", "ann"]
    content, bounds = dataset.content.astype(np.float32), dataset.clip_rows
    for rows, clip in zip(prepared.index_content, (1, 0, 2), strict=True):
        assert np.array_equal(rows, content[bounds[clip] : bounds[clip + 1]])


def test_a_speaker_without_speech_is_named(tmp_path: Path, extractor: Extractor) -> None:
    data = write_speakers(tmp_path / "data", ("ann", "bob"), 1, 12.0)
    write_bad_recordings(data / "carl")
    with pytest.raises(InvalidDataset, match="no usable speech of carl"):
        prepare(data, extractor, tmp_path, RVC2, speakers=True)


@pytest.mark.parametrize("conventions", [LIGHT, RVC2])
def test_what_is_held_out_is_not_trained_on(
    tmp_path: Path, extractor: Extractor, conventions: Conventions
) -> None:
    data = write_speakers(tmp_path / "data", ("ann",), 9, 7.5)
    prepared = prepare(data, extractor, tmp_path, conventions)
    (name,) = (one.name for one in prepared.report.recordings if one.held_out)
    assert prepared.held_out is not None
    assert prepared.held_out.seconds == pytest.approx(7.5 + int(name[4]) / 10, abs=0.1)
    assert prepared.seconds + prepared.held_out.seconds == pytest.approx(9 * 7.9, abs=0.5)
    trained = {row.tobytes() for row in prepared.training_set.content}
    assert not trained & {row.tobytes() for row in prepared.held_out.content}
    assert [len(rows) for rows in prepared.index_content] == [round(prepared.seconds * 50)]
