from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from rvc.architectures import Conventions
from rvc.base_models import (
    FORMAT_VERSION,
    MANIFEST_NAME,
    BaseModelFile,
    BaseModelManifest,
    PretrainedPart,
    pretrained_name,
)
from rvc.contract import Architecture, ContentEncoder, PitchMethod, TrainingSettings
from rvc.dataset.features import Extractor
from rvc.training.identity import training_identity

RVC2 = Conventions(standardizes_content=False, levels_speech=False, gates_f0=False)
SETTINGS = TrainingSettings(architecture=Architecture.RVC2, sample_rate_hertz=40000)


def identity(folder: Path, content: str = "sha256:aa", dataset: str = "sha256:bb", **changes: object) -> str:
    settings = msgspec.structs.replace(SETTINGS, **changes)
    encoder = SimpleNamespace(name=ContentEncoder.CONTENT_VEC_768, dimension=768, digest=content)
    pitch = SimpleNamespace(name=PitchMethod.RMVPE)
    return training_identity(dataset, Extractor(encoder, pitch, 40000, RVC2), settings, folder)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"save_every_epochs": 3},
        {"base_models_uri": "pvc://models/"},
        {"tensor_board": True},
        {"gradient_checkpointing": True},
    ],
)
def test_what_does_not_decide_may_change(tmp_path: Path, change: dict[str, object]) -> None:
    assert identity(tmp_path, **change) == identity(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"content": "sha256:cc"},
        {"dataset": "sha256:cc"},
        {"seed": 1},
        {"epochs": 1},
        {"batch_size": 1},
        {"multi_speaker": True},
        {"early_stopping_epochs": 5},
    ],
)
def test_what_decides_makes_another_training(tmp_path: Path, change: dict[str, str]) -> None:
    assert identity(tmp_path, **change) != identity(tmp_path)


def write_base_models(folder: Path, digit: str, rate: int) -> None:
    names = [pretrained_name("v2", rate, True, part) for part in PretrainedPart]
    models = {name: BaseModelFile(file=f"{name}.x", size=1, sha256=digit * 64, source="") for name in names}
    manifest = BaseModelManifest(format_version=FORMAT_VERSION, models=models)
    (folder / MANIFEST_NAME).write_bytes(msgspec.json.encode(manifest))


def test_other_networks_to_start_from_make_another_training(tmp_path: Path) -> None:
    without = identity(tmp_path)
    identities = {without}
    for digit in "12":
        write_base_models(tmp_path, digit, 40000)
        identities.add(identity(tmp_path))
    assert len(identities) == 3
    write_base_models(tmp_path, "3", 48000)
    assert identity(tmp_path) == without
