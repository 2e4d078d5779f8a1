"""`RVC2` through the whole pipeline, with small networks: speakers, the community's files, resuming."""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile
import torch

import rvc.train
from rvc.community.voice import read_model
from rvc.contract import Architecture, ContentEncoder, PitchMethod, Precision, Progress, TrainingSettings
from rvc.errors import ArtifactCorrupt, Terminated
from rvc.rvc2.training import Sizes
from rvc.tiles import index_rows_of
from rvc.train import train_voice
from rvc.training.checkpoints import FolderCheckpoints
from rvc.voice import VoiceManifest, open_voice
from tests.fixtures.sounds import voice_like
from tests.rvc2.small import small_geometry

SETTINGS = TrainingSettings(
    architecture=Architecture.RVC2,
    sample_rate_hertz=32000,
    pitch_method=PitchMethod.FCPE,
    epochs=2,
    batch_size=4,
    save_every_epochs=1,
    precision=Precision.FP32,
    multi_speaker=True,
)


class Spectrum:
    """As wide as ContentVec, whose weights are too large for tests: a projected spectrum."""

    name = ContentEncoder.CONTENT_VEC_768
    dimension = 768
    digest = f"sha256:{'1' * 64}"
    _projection = np.random.default_rng(0).standard_normal((161, 768)).astype(np.float32)

    def __call__(self, audio: np.ndarray) -> np.ndarray:
        rows = -(-len(audio) // 320)
        frames = np.pad(audio, (0, rows * 320 - len(audio))).reshape(rows, 320)
        return np.tanh(np.abs(np.fft.rfft(frames)).astype(np.float32) @ self._projection)

    def encode_blocks(self, audio: np.ndarray) -> Iterator[np.ndarray]:
        yield self(audio)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dataset")
    for name, f0 in (("0", 120.0), ("1", 220.0)):
        (folder / name).mkdir()
        for number in range(2):
            sound = 0.8 * voice_like(3.0 + number, f0 * (1 + number / 10), 32000)
            soundfile.write(folder / name / f"{number}.wav", sound, 32000)
    return folder


@pytest.fixture
def train(
    tmp_path: Path, dataset: Path, base_models: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., VoiceManifest]:
    monkeypatch.setattr(rvc.train, "load_content_encoder", lambda *_: Spectrum())
    monkeypatch.setattr(rvc.train, "resolve_content_encoder", lambda name, *_: name)
    small = Sizes(small_geometry(), segment_frames=12, discriminator_width=64)
    monkeypatch.setattr(Sizes, "official", staticmethod(lambda dataset: small))

    def run(
        settings: TrainingSettings = SETTINGS,
        stop: Callable[[], bool] = lambda: False,
        on_progress: Callable[[Progress], None] = lambda progress: None,
    ) -> VoiceManifest:
        return train_voice(
            dataset,
            tmp_path / "voice",
            tmp_path / "work",
            settings,
            name="demo/ann",
            revision="",
            base_models=base_models,
            device=torch.device("cpu"),
            on_progress=on_progress,
            checkpoints=FolderCheckpoints(tmp_path / "checkpoints"),
            stop=stop,
        )

    return run


def test_a_voice_of_two_speakers_and_the_files_of_the_community(
    tmp_path: Path, train: Callable[..., VoiceManifest]
) -> None:
    manifest = train()
    assert open_voice(tmp_path / "voice").manifest == manifest
    assert (manifest.speakers, manifest.speaker_names) == (2, ("0", "1"))
    assert manifest.dataset is not None
    assert manifest.dataset.seconds == pytest.approx(14, abs=0.2)
    assert manifest.dataset.clips == 4
    assert manifest.statistics["medianF0Hertz.0"] == pytest.approx(126, rel=0.1)
    assert manifest.statistics["medianF0Hertz.1"] == pytest.approx(231, rel=0.1)
    told = index_rows_of(manifest.statistics)
    assert [len(told[speaker]) for speaker in range(2)] == pytest.approx([350, 350], abs=5)
    index = open_voice(tmp_path / "voice").index()
    assert index is not None
    assert told[1].stop == index.rows
    assert {"ann.pth", "dataset.json", "losses.png", "spectrogram.png"} <= set(manifest.files)
    assert any(name.startswith("added_IVF") for name in manifest.files)
    assert manifest.metrics["durationRatio"] == 1
    model = read_model(tmp_path / "voice" / "ann.pth")
    assert model.geometry.sample_rate_hertz == 32000


def test_memory_may_be_saved_from_a_checkpoint_on_but_speakers_may_not_change(
    train: Callable[..., VoiceManifest],
) -> None:
    steps: list[Progress] = []
    with pytest.raises(Terminated):
        train(stop=lambda: sum(report.epoch for report in steps) > 0, on_progress=steps.append)
    with pytest.raises(ArtifactCorrupt, match="another training"):
        train(msgspec.structs.replace(SETTINGS, multi_speaker=False))
    assert train(msgspec.structs.replace(SETTINGS, gradient_checkpointing=True)).speakers == 2
