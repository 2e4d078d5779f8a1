from pathlib import Path

import pytest
import torch

from rvc.base_models import BASE_MODEL_NAMES, open_base_model
from rvc.base_models.filling import filling, put
from rvc.base_models.stored import fetch_stored, for_conversion, for_training
from rvc.content import load_content_encoder
from rvc.contract import Architecture, ContentEncoder, PitchMethod, StoreSettings, TrainingSettings
from rvc.errors import ArtifactCorrupt, InvalidConfiguration
from rvc.pitch import load_pitch

NAMES = ("contentvec", "rmvpe", "rvc2-v2-f0-40k-generator", "rvc2-v2-f0-48k-generator")
CPU = torch.device("cpu")
RVC2 = for_conversion(ContentEncoder.CONTENT_VEC_768)


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
    folder = fetched(stored, tmp_path / "server", RVC2)
    assert sorted(path.name for path in folder.iterdir()) == [
        "contentvec.safetensors",
        "manifest.json",
        "rmvpe.safetensors",
    ]
    assert open_base_model("rmvpe", folder).tensors["weight"].tolist() == [1, 1, 1]


def missed(load, folder: Path) -> set[str]:
    """Networks that it asks for and that an empty folder does not have."""
    told = ""
    try:
        load(folder)
    except InvalidConfiguration as error:
        told = str(error)
    return {name for name in BASE_MODEL_NAMES if f"the base model {name} " in told}


@pytest.mark.parametrize("encoder", ContentEncoder)
@pytest.mark.parametrize("method", PitchMethod)
def test_what_is_wanted_is_what_is_asked_for(tmp_path, encoder, method):
    content = missed(lambda folder: load_content_encoder(encoder, folder, CPU), tmp_path)
    pitch = missed(lambda folder: load_pitch(method, folder, CPU), tmp_path)
    assert content | pitch <= for_conversion(encoder)
    settings = TrainingSettings(Architecture.LIGHT, content_encoder=encoder, pitch_method=method)
    either = {"rmvpe", "fcpe"} if method == PitchMethod.AUTO else set()
    assert for_training(settings) == content | pitch | either | {"speaker-encoder"}


def test_a_voice_that_needs_no_encoder_from_there_brings_none():
    assert for_conversion(ContentEncoder.SMALL) == {"rmvpe", "fcpe", "crepe", "crepe-tiny"}


@pytest.mark.parametrize(
    ("encoder", "version"), [("Auto", "v2"), ("ContentVec768", "v2"), ("ContentVec256", "v1")]
)
def test_a_training_of_rvc2_starts_from_the_pretrained_networks_of_its_kind(encoder, version):
    settings = TrainingSettings(
        sample_rate_hertz=48000, content_encoder=ContentEncoder(encoder), pitch_method=PitchMethod.PRAAT
    )
    pretrained = {f"rvc2-{version}-f0-48k-generator", f"rvc2-{version}-f0-48k-discriminator"}
    assert for_training(settings) == pretrained | {"contentvec", "speaker-encoder"}


def test_a_network_that_is_not_what_its_manifest_says_is_refused(stored, tmp_path):
    content = bytearray((stored / "rmvpe.safetensors").read_bytes())
    content[-1] ^= 1
    (stored / "rmvpe.safetensors").write_bytes(content)
    with pytest.raises(ArtifactCorrupt, match=r"rmvpe\.safetensors"):
        fetched(stored, tmp_path / "server", RVC2)


def test_a_network_that_is_missing_is_damage_of_the_folder(stored, tmp_path):
    (stored / "rmvpe.safetensors").unlink()
    with pytest.raises(ArtifactCorrupt, match=r"rmvpe\.safetensors.*does not have it"):
        fetched(stored, tmp_path / "server", RVC2)


def test_a_folder_without_base_models_is_told(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidConfiguration, match="rvc fetch-base") as caught:
        fetched(tmp_path / "empty", tmp_path / "server", RVC2)
    assert caught.value.reason == "BaseModelMissing"


def test_names_that_lead_elsewhere_are_refused(stored, tmp_path):
    manifest = stored / "manifest.json"
    manifest.write_text(manifest.read_text().replace("rmvpe.safetensors", "../rmvpe.safetensors"))
    with pytest.raises(ArtifactCorrupt, match="no plain name"):
        fetched(stored, tmp_path / "server", RVC2)
