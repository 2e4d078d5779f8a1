import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import torch

from rvc.contract import Architecture, Consent, Precision, Progress, Stage, TrainingSettings
from rvc.errors import ArtifactCorrupt, InvalidConfiguration, InvalidDataset, Terminated
from rvc.train import train_voice
from rvc.training.checkpoints import FolderCheckpoints
from rvc.voice import VoiceManifest, open_voice
from tests.train.recordings import write_bad_recordings, write_recordings

SETTINGS = TrainingSettings(
    architecture=Architecture.LIGHT,
    sample_rate_hertz=16000,
    epochs=2,
    batch_size=3,
    save_every_epochs=1,
    precision=Precision.FP32,
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bad_recordings(write_recordings(tmp_path_factory.mktemp("dataset")))


class Trainer:
    """A place to train in, as one attempt after another finds it."""

    def __init__(self, folder: Path, dataset: Path, base_models: Path) -> None:
        self.folder = folder
        self._dataset = dataset
        self._base_models = base_models
        self.reports: list[Progress] = []

    def __call__(
        self, settings: TrainingSettings = SETTINGS, stop: Callable[[], bool] = lambda: False
    ) -> VoiceManifest:
        return train_voice(
            self._dataset,
            self.folder / "voice",
            self.folder / "work",
            settings,
            name="test/voice",
            revision="0123456789",
            base_models=self._base_models,
            device=torch.device("cpu"),
            on_progress=self.reports.append,
            checkpoints=FolderCheckpoints(self.folder / "checkpoints"),
            stop=stop,
            consent=Consent(statement="mine"),
        )


@pytest.fixture
def trainer(tmp_path: Path, dataset: Path, base_models: Path) -> Trainer:
    return Trainer(tmp_path, dataset, base_models)


def stop_at(stage: Stage, times: int, trainer: Trainer) -> Callable[[], bool]:
    """True once so many reports of a stage were made."""
    return lambda: sum(report.stage == stage for report in trainer.reports) >= times


def test_a_voice_is_trained_and_says_what_it_is(trainer: Trainer) -> None:
    manifest = trainer()
    voice = open_voice(trainer.folder / "voice")
    assert voice.manifest == manifest
    assert manifest.name == "test/voice"
    assert manifest.sample_rate_hertz == 16000
    assert manifest.parameters == SETTINGS
    assert manifest.consent.statement == "mine"
    assert manifest.dataset.clips == 3
    assert manifest.dataset.seconds == pytest.approx(15, abs=0.5)
    assert {"mel", "refusedRecordings", "datasetWarnings"} <= set(manifest.metrics)
    assert manifest.metrics["durationRatio"] == 1
    assert manifest.metrics["f0Correlation"] > 0.8
    assert 0 < manifest.metrics["melDistanceDecibels"] < 10
    assert manifest.statistics["medianF0Hertz"] == pytest.approx(200, rel=0.1)
    assert voice.index().rows == round(manifest.dataset.seconds * 50)
    told = json.loads((trainer.folder / "voice" / "dataset.json").read_text())
    assert [recording["name"] for recording in told["recordings"]] == ["a.wav", "b.flac", "more/c.wav"]
    assert [refusal["name"] for refusal in told["refused"]] == ["empty.wav", "silent.wav", "text.wav"]
    assert told["warnings"][0].startswith("0.2 minutes of speech are little")


def test_progress_goes_through_the_stages_and_never_back(trainer: Trainer) -> None:
    trainer()
    percentages = [report.progress_percentage for report in trainer.reports]
    assert percentages == sorted(percentages)
    stages = list(dict.fromkeys(report.stage for report in trainer.reports))
    assert stages == [
        Stage.PREPARING,
        Stage.EXTRACTING_FEATURES,
        Stage.TRAINING,
        Stage.INDEXING,
        Stage.EVALUATING,
        Stage.PUBLISHING,
    ]
    last = [report for report in trainer.reports if report.stage == Stage.TRAINING][-1]
    assert (last.epoch, last.total_epochs, last.estimated_remaining_seconds) == (2, 2, 0)
    assert {"spectral", "mel"} <= {metric.name for metric in last.metrics}


def test_a_stopped_training_is_continued_to_the_same_voice(
    trainer: Trainer, dataset: Path, base_models: Path, tmp_path: Path
) -> None:
    whole = trainer()
    parts = Trainer(tmp_path / "parts", dataset, base_models)
    for reports in (3, 9):
        with pytest.raises(Terminated, match="the next attempt goes on from there"):
            parts(stop=stop_at(Stage.TRAINING, reports, parts))
        assert not (parts.folder / "voice" / "manifest.json").exists()
    continued = parts()
    assert continued.files == whole.files
    assert continued.metrics == whole.metrics


def test_a_stop_while_extracting_keeps_what_is_extracted(trainer: Trainer) -> None:
    with pytest.raises(Terminated):
        trainer(stop=stop_at(Stage.EXTRACTING_FEATURES, 2, trainer))
    assert list((trainer.folder / "work" / "features").iterdir())
    assert FolderCheckpoints(trainer.folder / "checkpoints").latest() is None


def test_a_finished_training_is_not_repeated(trainer: Trainer) -> None:
    trainer()
    trainer.reports.clear()
    trainer()
    assert sum(report.stage == Stage.TRAINING for report in trainer.reports) == 1


@pytest.mark.parametrize("change", [{"seed": 1}, {"epochs": 3}, {"batch_size": 4}])
def test_a_checkpoint_of_other_settings_is_refused(trainer: Trainer, change: dict[str, int]) -> None:
    with pytest.raises(Terminated):
        trainer(stop=stop_at(Stage.TRAINING, 2, trainer))
    with pytest.raises(ArtifactCorrupt, match="another training"):
        trainer(msgspec.structs.replace(SETTINGS, **change))


def test_where_and_when_to_save_may_change(trainer: Trainer) -> None:
    with pytest.raises(Terminated):
        trainer(stop=stop_at(Stage.TRAINING, 2, trainer))
    trainer(msgspec.structs.replace(SETTINGS, save_every_epochs=2, base_models_uri="pvc://models/base/"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"multi_speaker": True}, "use architecture: RVC2"),
        ({"sample_rate_hertz": 44100}, "16000, 32000, 40000, 48000"),
        ({"precision": Precision.FP16}, "use Auto, BF16 or FP32"),
    ],
)
def test_what_there_is_not_is_refused(trainer: Trainer, change: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidConfiguration, match=message):
        trainer(msgspec.structs.replace(SETTINGS, **change))


def test_a_missing_dataset_is_named(trainer: Trainer, base_models: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidDataset, match="nowhere does not exist"):
        Trainer(tmp_path, tmp_path / "nowhere", base_models)()
