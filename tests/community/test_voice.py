"""Voices of the community as voice folders, and back."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from rvc.community.index_file import read_index
from rvc.community.inference_model import read_inference_model
from rvc.community.voice import (
    export_voice,
    file_name,
    import_voice,
    open_any_voice,
    write_community_files,
)
from rvc.contract import Architecture, Consent, ContentEncoder, PitchMethod, TrainingSettings
from rvc.errors import ArtifactCorrupt, InvalidConfiguration, ObjectNotFound
from rvc.tiles import MEDIAN_F0, synthesizer_tensors
from rvc.voice import INDEX_NAME, TENSORS_NAME, open_voice, write_manifest
from tests.community.models import official_content, small_geometry, write_index, write_pth
from tests.voice.test_voice import MANIFEST


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_pth(tmp_path / "ann.pth")


@pytest.fixture
def index(tmp_path: Path) -> Path:
    return write_index(tmp_path / "added_IVF4_Flat_nprobe_1_ann_v2.index")


def test_an_imported_voice_is_a_voice_folder(model, index, tmp_path):
    written = import_voice(
        model, index, tmp_path / "voice", name="ann", revision="0123456789", consent=Consent("I agree.")
    )
    voice = open_voice(tmp_path / "voice")
    manifest = voice.manifest
    assert written == manifest
    assert (manifest.architecture, manifest.sample_rate_hertz) == (Architecture.RVC2, 40000)
    assert (manifest.content_encoder.name, manifest.content_encoder.digest) == (
        ContentEncoder.CONTENT_VEC_768, None,
    )  # fmt: skip
    assert (manifest.pitch_method, manifest.parameters, manifest.dataset) == (PitchMethod.AUTO, None, None)
    assert (manifest.speakers, manifest.revision) == (3, "0123456789")
    assert manifest.consent.statement == "I agree."
    assert manifest.origin["model"] == "ann.pth"
    assert len(manifest.origin["modelSha256"]) == len(manifest.origin["indexSha256"]) == 64
    assert manifest.origin["claimed.info"] == "20epoch"
    weights = official_content()["weight"]
    stored = synthesizer_tensors(voice.tensors())
    assert stored.keys() == weights.keys()
    assert all(torch.equal(stored[name], weights[name]) for name in weights)
    assert (tmp_path / "voice" / INDEX_NAME).read_bytes() == index.read_bytes()


def test_what_a_file_knows_of_its_voice_comes_along(tmp_path):
    content = official_content(f0_median=210.0, speaker_info=[{"id": 1, "name": "Ben"}])
    manifest = import_voice(
        write_pth(tmp_path / "ben.pth", content),
        None,
        tmp_path / "voice",
        name="ben",
        origin={"from": "afar"},
    )
    assert manifest.statistics == {MEDIAN_F0: 210.0}
    assert manifest.speaker_names == ("", "Ben")
    assert manifest.origin["from"] == "afar"
    assert json.loads(manifest.origin["claimed.speaker_info"])[0]["name"] == "Ben"
    assert INDEX_NAME not in manifest.files


def test_voices_of_version_1_hear_other_content(tmp_path):
    path = write_pth(tmp_path / "old.pth", official_content(small_geometry("v1", 48000, f0=False)))
    index = write_index(tmp_path / "old.index", dimension=256)
    manifest = import_voice(path, index, tmp_path / "voice", name="old")
    assert manifest.content_encoder.name == ContentEncoder.CONTENT_VEC_256
    assert manifest.content_encoder.dimension == 256
    assert manifest.hyperparameters["f0"] is False


def test_export_gives_back_the_files_to_the_byte(model, index, tmp_path):
    import_voice(model, index, tmp_path / "voice", name="demo/ann")
    paths = export_voice(open_voice(tmp_path / "voice"), tmp_path / "out")
    assert [path.name for path in paths] == ["ann.pth", "added_IVF4_Flat_nprobe_1_ann_v2.index"]
    assert [path.read_bytes() for path in paths] == [model.read_bytes(), index.read_bytes()]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(path.name for path in paths)


def test_export_writes_the_probes_of_the_community(model, tmp_path):
    index = write_index(tmp_path / "eight.index", probes=3)
    import_voice(model, index, tmp_path / "voice", name="ann")
    assert read_index(tmp_path / "voice" / INDEX_NAME).probes == 3
    _, exported = export_voice(open_voice(tmp_path / "voice"), tmp_path / "out")
    assert read_index(exported).probes == 1
    assert exported.name == "added_IVF4_Flat_nprobe_1_ann_v2.index"


def test_a_voice_that_was_learnt_here_gets_the_files_of_the_community(model, tmp_path):
    """In single precision, as training may leave it, and with its epochs in the model's file."""
    folder = tmp_path / "trained"
    folder.mkdir()
    weights = {f"synthesizer.{name}": tensor.float() for name, tensor in official_content()["weight"].items()}
    save_file(weights, folder / TENSORS_NAME)
    (folder / INDEX_NAME).write_bytes(write_index(tmp_path / "x.index", probes=8).read_bytes())
    imported = import_voice(model, None, tmp_path / "voice", name="demo/ann")
    fields = {name: getattr(imported, name) for name in imported.__struct_fields__}
    learnt = type(imported)(**fields | {"origin": {}, "files": {}, "parameters": TrainingSettings(epochs=20)})
    paths = write_community_files(folder, learnt)
    write_manifest(folder, learnt)
    assert [path.name for path in paths] == ["ann.pth", "added_IVF4_Flat_nprobe_1_ann_v2.index"]
    assert paths[0].read_bytes() == model.read_bytes()
    assert open_voice(folder).manifest.files.keys() == {
        TENSORS_NAME, INDEX_NAME, *(path.name for path in paths)
    }  # fmt: skip


def test_an_index_of_another_version_is_refused(model, tmp_path):
    index = write_index(tmp_path / "v1.index", dimension=256)
    with pytest.raises(InvalidConfiguration, match="256 dimensions, the voice reads 768"):
        import_voice(model, index, tmp_path / "voice", name="ann")
    assert not (tmp_path / "voice").exists()


def test_a_folder_that_holds_files_is_left_alone(model, tmp_path):
    with pytest.raises(InvalidConfiguration, match="holds files already"):
        import_voice(model, None, tmp_path, name="ann")
    assert [path.name for path in tmp_path.iterdir()] == ["ann.pth"]


def test_light_voices_have_no_file_in_the_community(tmp_path):
    (tmp_path / "light").mkdir()
    save_file({"synthesizer.x": torch.zeros(1)}, tmp_path / "light" / TENSORS_NAME)
    write_manifest(tmp_path / "light", MANIFEST)
    with pytest.raises(InvalidConfiguration, match="architecture Light, for which RVC programs have no file"):
        export_voice(open_voice(tmp_path / "light"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_voice_without_all_its_weights_is_not_exported(model, tmp_path):
    manifest = import_voice(model, None, tmp_path / "voice", name="ann")
    tensors = open_voice(tmp_path / "voice").tensors()
    del tensors["synthesizer.enc_p.proj.bias"]
    save_file(tensors, tmp_path / "voice" / TENSORS_NAME)
    write_manifest(tmp_path / "voice", manifest)
    with pytest.raises(ArtifactCorrupt, match=r"1 missing \(enc_p.proj.bias\)"):
        export_voice(open_voice(tmp_path / "voice"), tmp_path / "out")


def test_any_voice_is_opened(model, index, tmp_path):
    import_voice(model, None, tmp_path / "voice", name="ann")
    (tmp_path / "scratch").mkdir()
    ours = open_any_voice(tmp_path / "voice", None, tmp_path / "scratch")
    theirs = open_any_voice(model, index, tmp_path / "scratch")
    assert ours.folder == tmp_path / "voice"
    assert theirs.folder.parent == tmp_path / "scratch"
    assert theirs.manifest.name == "ann"
    assert theirs.index() is not None
    assert ours.index() is None
    with pytest.raises(InvalidConfiguration, match="has its own"):
        open_any_voice(tmp_path / "voice", index, tmp_path / "scratch")
    with pytest.raises(ObjectNotFound, match="holds no voice"):
        open_any_voice(tmp_path / "none", None, tmp_path / "scratch")


@pytest.mark.parametrize(
    ("name", "file"),
    [("demo/ann", "ann"), ("安娜", "安娜"), ("a b/c d", "c_d"), ("..", "voice"), ("", "voice"), (".x", "x")],
)
def test_names_of_voices_become_names_of_files(name, file):
    assert file_name(name) == file


def test_the_name_of_a_file_is_its_own_in_every_export(model, tmp_path):
    import_voice(model, None, tmp_path / "voice", name="ann")
    (path,) = export_voice(open_voice(tmp_path / "voice"), tmp_path / "out", "other")
    assert path.name == "other.pth"
    assert read_inference_model(path).info == "20epoch"
