import pytest
import torch

from rvc.base_models import open_base_model, read_manifest
from rvc.base_models.filling import filling, put
from rvc.base_models.stored import fetch_stored, for_conversion, for_training
from rvc.contract import StoreSettings
from rvc.errors import ArtifactCorrupt, InvalidConfiguration

NAMES = ("contentvec", "rmvpe", "rvc2-v2-f0-40k-generator", "rvc2-v2-f0-48k-generator")


@pytest.fixture
def stored(tmp_path):
    folder = tmp_path / "stored"
    with filling(folder):
        for number, name in enumerate(NAMES):
            put(folder, name, {"weight": torch.full((3,), float(number))}, "a test")
    return folder


def fetched(stored, folder, wanted):
    return fetch_stored(f"file://{stored}", StoreSettings(), folder, wanted, lambda: None)


def test_only_what_is_wanted_comes(stored, tmp_path):
    folder = fetched(stored, tmp_path / "server", for_conversion)
    assert sorted(path.name for path in folder.iterdir()) == [
        "contentvec.safetensors",
        "manifest.json",
        "rmvpe.safetensors",
    ]
    assert open_base_model("rmvpe", folder).tensors["weight"].tolist() == [1, 1, 1]
    trained = read_manifest(fetched(stored, tmp_path / "trainer", for_training(40000)))
    assert trained is not None
    assert set(trained.models) == set(NAMES[:3])


def test_a_network_that_is_not_what_its_manifest_says_is_refused(stored, tmp_path):
    content = bytearray((stored / "rmvpe.safetensors").read_bytes())
    content[-1] ^= 1
    (stored / "rmvpe.safetensors").write_bytes(content)
    with pytest.raises(ArtifactCorrupt, match=r"rmvpe\.safetensors"):
        fetched(stored, tmp_path / "server", for_conversion)


def test_a_network_that_is_missing_is_damage_of_the_folder(stored, tmp_path):
    (stored / "rmvpe.safetensors").unlink()
    with pytest.raises(ArtifactCorrupt, match=r"rmvpe\.safetensors.*does not have it"):
        fetched(stored, tmp_path / "server", for_conversion)


def test_a_folder_without_base_models_is_told(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidConfiguration, match="rvc fetch-base") as caught:
        fetched(tmp_path / "empty", tmp_path / "server", for_conversion)
    assert caught.value.reason == "BaseModelMissing"


def test_names_that_lead_elsewhere_are_refused(stored, tmp_path):
    manifest = stored / "manifest.json"
    manifest.write_text(manifest.read_text().replace("rmvpe.safetensors", "../rmvpe.safetensors"))
    with pytest.raises(ArtifactCorrupt, match="no plain name"):
        fetched(stored, tmp_path / "server", for_conversion)
