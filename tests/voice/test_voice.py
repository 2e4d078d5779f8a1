import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from rvc.contract import Architecture, Consent, ContentEncoder, PitchMethod, TrainingSettings
from rvc.errors import ArtifactCorrupt, ObjectExists, ObjectNotFound
from rvc.retrieval import build_index
from rvc.store import FolderStore
from rvc.voice import (
    DatasetSummary,
    EncoderReference,
    VoiceManifest,
    fetch_voice,
    find_published,
    open_voice,
    publish_voice,
    write_manifest,
)

MANIFEST = VoiceManifest(
    name="demo/ann",
    revision="0123456789",
    architecture=Architecture.LIGHT,
    sample_rate_hertz=40000,
    content_encoder=EncoderReference(
        name=ContentEncoder.WHISPER_BASE, digest="sha256:" + "ab" * 32, dimension=8
    ),
    pitch_method=PitchMethod.FCPE,
    speakers=1,
    parameters=TrainingSettings(architecture=Architecture.LIGHT, epochs=3),
    metrics={"loss": 0.25},
    dataset=DatasetSummary(digest="sha256:" + "cd" * 32, seconds=600.5, clips=120),
    software={"torch": "2.13.0"},
    consent=Consent(statement="I agree.", reference="contract 7"),
)
PREFIX = "voices/demo/ann/0123456789/"


def make_voice(folder: Path, value: float = 1.0) -> Path:
    folder.mkdir()
    save_file({"net.weight": torch.full((3, 2), value)}, folder / "voice.safetensors")
    rows = np.random.default_rng(0).normal(size=(100, 8)).astype(np.float32)
    (folder / "index.faiss").write_bytes(build_index(rows, seed=0))
    write_manifest(folder, MANIFEST)
    return folder


@pytest.fixture
def folder(tmp_path) -> Path:
    return make_voice(tmp_path / "voice")


@pytest.fixture
def store(tmp_path) -> FolderStore:
    (tmp_path / "claim").mkdir()
    return FolderStore(tmp_path / "claim", "pvc://claim/")


def rewrite(folder: Path, **fields: object) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_a_voice_opens_as_it_was_written(folder):
    voice = open_voice(folder)
    assert msgspec.structs.replace(voice.manifest, files={}) == MANIFEST
    assert sorted(voice.manifest.files) == ["index.faiss", "voice.safetensors"]
    assert voice.size_bytes == sum(path.stat().st_size for path in folder.iterdir())
    assert torch.equal(voice.tensors()["net.weight"], torch.ones(3, 2))
    assert voice.index().rows == 100
    assert open_voice(folder, voice.digest).digest == voice.digest


@pytest.mark.parametrize("name", ["voice.safetensors", "index.faiss"])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_damaged_files_are_refused_by_name(folder, name, damage):
    path = folder / name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content if damage == "flip" else content[:-1])
    if damage == "remove":
        path.unlink()
    with pytest.raises(ArtifactCorrupt, match=name):
        open_voice(folder)


def test_another_voice_than_expected_is_refused(folder):
    with pytest.raises(ArtifactCorrupt, match="expected sha256:0000"):
        open_voice(folder, "sha256:" + "0" * 64)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"formatVersion": 2}, "format version 2"),
        ({"formatVersion": "1"}, "no manifest"),
        ({"surprise": 1}, "surprise"),
        ({"architecture": "Unknown"}, "Unknown"),
        ({"sampleRateHertz": 1}, "sampleRateHertz"),
        ({"files": {}}, r"voice\.safetensors"),
        ({"files": {"../evil": {"size": 1, "sha256": "0" * 64}}}, "plain name"),
        ({"files": {"a/b": {"size": 1, "sha256": "0" * 64}}}, "plain name"),
        ({"files": {".hidden": {"size": 1, "sha256": "0" * 64}}}, "plain name"),
        ({"files": {"manifest.json": {"size": 1, "sha256": "0" * 64}}}, "plain name"),
        ({"files": {"voice.safetensors": {"size": 1, "sha256": "nonsense"}}}, "sha256"),
    ],
)
def test_manifests_that_are_not_ours_are_refused(folder, fields, message):
    rewrite(folder, **fields)
    with pytest.raises(ArtifactCorrupt, match=message):
        open_voice(folder)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff\xfe"])
def test_manifests_that_are_no_json_are_refused(folder, text):
    (folder / "manifest.json").write_bytes(text)
    with pytest.raises(ArtifactCorrupt, match=r"manifest\.json"):
        open_voice(folder)


def test_a_folder_without_a_voice(tmp_path):
    with pytest.raises(ObjectNotFound, match="holds no voice"):
        open_voice(tmp_path)


def test_a_manifest_is_written_only_for_a_whole_voice(folder):
    (folder / "manifest.json").unlink()
    (folder / "voice.safetensors").unlink()
    with pytest.raises(ArtifactCorrupt, match=r"voice\.safetensors"):
        write_manifest(folder, MANIFEST)
    assert not (folder / "manifest.json").exists()


def test_a_metric_that_is_no_number_is_refused_when_written(folder):
    with pytest.raises(ArtifactCorrupt, match="metrics"):
        write_manifest(folder, msgspec.structs.replace(MANIFEST, metrics={"loss": float("nan")}))


def test_a_published_voice_comes_back(folder, store, tmp_path):
    assert find_published(store, PREFIX) is None
    digest, size = publish_voice(folder, store, PREFIX)
    published = find_published(store, PREFIX)
    assert (published.digest, published.size_bytes) == (digest, size)
    assert published.manifest == open_voice(folder).manifest
    voice = fetch_voice(store, PREFIX, tmp_path / "served" / "voice", digest)
    assert voice.digest == digest
    assert voice.index().rows == 100


def test_publishing_again_writes_nothing(folder, store):
    first = publish_voice(folder, store, PREFIX)
    before = list(store.list(""))
    assert publish_voice(folder, store, PREFIX) == first
    assert list(store.list("")) == before


def test_a_published_voice_is_never_overwritten(folder, store, tmp_path):
    publish_voice(folder, store, PREFIX)
    before = list(store.list(""))
    with pytest.raises(ObjectExists, match="never overwritten"):
        publish_voice(make_voice(tmp_path / "other", value=2.0), store, PREFIX)
    assert list(store.list("")) == before


def test_what_a_dead_attempt_left_is_replaced(folder, store):
    store.write_bytes(PREFIX + "voice.safetensors", b"of an attempt that died")
    assert find_published(store, PREFIX) is None
    digest, _ = publish_voice(folder, store, PREFIX)
    assert find_published(store, PREFIX).digest == digest


def test_the_manifest_is_published_last(folder, store):
    order = []

    class Watching:
        def __getattr__(self, name: str) -> object:
            return getattr(store, name)

        def upload(self, path: Path, key: str, *, overwrite: bool = True) -> object:
            order.append(path.name)
            return store.upload(path, key, overwrite=overwrite)

    publish_voice(folder, Watching(), PREFIX)
    assert order == ["index.faiss", "voice.safetensors", "manifest.json"]


def test_a_damaged_folder_is_not_published(folder, store):
    (folder / "index.faiss").write_bytes(b"damaged")
    with pytest.raises(ArtifactCorrupt):
        publish_voice(folder, store, PREFIX)
    assert list(store.list("")) == []


def test_fetching_refuses_what_is_not_the_expected_voice(folder, store, tmp_path):
    with pytest.raises(ObjectNotFound, match="no voice is published"):
        fetch_voice(store, PREFIX, tmp_path / "served", None)
    digest, _ = publish_voice(folder, store, PREFIX)
    with pytest.raises(ArtifactCorrupt, match="expected sha256:0000"):
        fetch_voice(store, PREFIX, tmp_path / "served", "sha256:" + "0" * 64)
    store.write_bytes(PREFIX + "index.faiss", b"damaged")
    with pytest.raises(ArtifactCorrupt, match=r"index\.faiss"):
        fetch_voice(store, PREFIX, tmp_path / "served", digest)
    store.delete(PREFIX + "index.faiss")
    with pytest.raises(ArtifactCorrupt, match=r"index\.faiss"):
        fetch_voice(store, PREFIX, tmp_path / "served", digest)


def test_a_fetched_voice_is_reused_and_a_damaged_one_repaired(folder, store, tmp_path):
    digest, _ = publish_voice(folder, store, PREFIX)
    served = tmp_path / "served"
    fetch_voice(store, PREFIX, served, digest)
    before = (served / "index.faiss").stat()
    fetch_voice(store, PREFIX, served, digest)
    assert (served / "index.faiss").stat() == before
    (served / "index.faiss").write_bytes(b"damaged")
    assert fetch_voice(store, PREFIX, served, digest).index().rows == 100


def test_only_what_a_voice_speaks_with_is_fetched(folder, store, tmp_path):
    (folder / "ann.pth").write_bytes(b"for other programs")
    write_manifest(folder, MANIFEST)
    digest, size = publish_voice(folder, store, PREFIX)
    for _ in range(2):
        voice = fetch_voice(store, PREFIX, tmp_path / "served", digest)
        assert (voice.digest, voice.size_bytes) == (digest, size)
    assert sorted(path.name for path in voice.folder.iterdir()) == [
        "index.faiss", "manifest.json", "voice.safetensors"
    ]  # fmt: skip
    with pytest.raises(ArtifactCorrupt, match=r"ann\.pth is missing"):
        open_voice(voice.folder, digest)
