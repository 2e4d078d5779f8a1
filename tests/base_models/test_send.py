"""Base models on their way to a bucket, and from there to a pod."""

import os
from pathlib import Path

import pytest
import torch

from rvc.base_models import MANIFEST_NAME, open_base_model, read_manifest
from rvc.base_models.filling import filling, put
from rvc.base_models.send import send_base_models
from rvc.base_models.stored import fetch_stored, for_training
from rvc.contract import StoreSettings, TrainingSettings
from rvc.errors import ArtifactCorrupt, InvalidConfiguration, PermissionDenied
from rvc.store.oss import upload
from tests.oss import KEY_ID, KEY_SECRET, REGION, Fault, OssServer

NAMES = ("contentvec", "rmvpe")
URI = "oss://voices/base"


@pytest.fixture
def oss(monkeypatch, tmp_path):
    monkeypatch.setenv("OSS_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("OSS_ACCESS_KEY_SECRET", KEY_SECRET)
    with OssServer(folder=tmp_path) as oss:
        yield oss


def fill(folder: Path, **networks: float) -> Path:
    with filling(folder):
        for name, value in networks.items():
            put(folder, name, {"weight": torch.full((3,), value)}, "a test")
    return folder


@pytest.fixture
def folder(tmp_path) -> Path:
    return fill(tmp_path / "folder", contentvec=1.0, rmvpe=2.0)


def settings(oss: OssServer) -> StoreSettings:
    return StoreSettings(endpoint=oss.endpoint, region=REGION)


def send(oss: OssServer, folder: Path) -> list[str]:
    return send_base_models(folder, URI, settings(oss), lambda line: None)


def fetched(oss: OssServer, folder: Path) -> dict[str, float]:
    """What a pod that starts now gets."""
    fetch_stored(URI, settings(oss), folder, for_training(TrainingSettings()), lambda: None)
    manifest = read_manifest(folder)
    assert manifest is not None
    return {name: open_base_model(name, folder).tensors["weight"][0].item() for name in manifest.models}


def names(oss: OssServer) -> list[str]:
    keys = oss.buckets["voices"].keys()
    return [key.removeprefix("base/") for key in keys]


def written(oss: OssServer) -> list[str]:
    return [each.key.removeprefix("base/") for each in oss.operations if each.name == "PutObject"]


def test_a_pod_gets_what_was_sent_and_the_manifest_came_last(oss, folder, tmp_path):
    assert send(oss, folder) == list(NAMES)
    assert written(oss) == ["contentvec.safetensors", "rmvpe.safetensors", MANIFEST_NAME]
    assert fetched(oss, tmp_path / "pod") == {"contentvec": 1.0, "rmvpe": 2.0}


def test_sent_again_nothing_is_written(oss, folder):
    send(oss, folder)
    oss.operations.clear()
    assert send(oss, folder) == []
    assert written(oss) == []


def test_what_broke_off_goes_on(oss, folder, tmp_path):
    class Killed(BaseException):
        pass

    def kill(line: str) -> None:
        if "rmvpe" in line:
            raise Killed

    with pytest.raises(Killed):
        send_base_models(folder, URI, settings(oss), kill)
    with pytest.raises(InvalidConfiguration, match=f"rvc fetch-base --to {URI}"):
        fetched(oss, tmp_path / "early")
    assert send(oss, folder) == ["rmvpe"]
    assert fetched(oss, tmp_path / "pod") == {"contentvec": 1.0, "rmvpe": 2.0}


def test_what_others_sent_stays(oss, folder, tmp_path):
    send(oss, fill(tmp_path / "other", contentvec=1.0))
    assert send(oss, folder) == ["rmvpe"]
    assert send(oss, fill(tmp_path / "third", rmvpe=2.0)) == []
    assert fetched(oss, tmp_path / "pod") == {"contentvec": 1.0, "rmvpe": 2.0}


def test_another_network_of_that_name_disturbs_no_pod_that_reads_the_old_one(oss, folder, tmp_path):
    send(oss, folder)
    fill(folder, rmvpe=3.0)
    oss.faults.add(Fault("PutObject", f"*/{MANIFEST_NAME}", status=403, code="AccessDenied"))
    with pytest.raises(PermissionDenied):
        send(oss, folder)
    assert fetched(oss, tmp_path / "meanwhile")["rmvpe"] == 2.0
    assert send(oss, folder) == []
    assert len(names(oss)) == 4
    assert fetched(oss, tmp_path / "pod") == {"contentvec": 1.0, "rmvpe": 3.0}


def test_what_is_damaged_there_is_sent_again(oss, folder, tmp_path):
    send(oss, folder)
    bucket = oss.buckets["voices"]
    found = bucket.get("base/rmvpe.safetensors")
    content = bytearray(b"".join(found.body.chunks()))
    content[-1] ^= 1
    bucket.put("base/rmvpe.safetensors", bucket.receive(iter([bytes(content)])), found.metadata)
    with pytest.raises(ArtifactCorrupt, match=r"rmvpe\.safetensors"):
        fetched(oss, tmp_path / "early")
    assert send(oss, folder) == ["rmvpe"]
    assert fetched(oss, tmp_path / "pod")["rmvpe"] == 2.0


def test_what_is_damaged_here_is_not_sent(oss, folder):
    path = folder / "rmvpe.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(ArtifactCorrupt, match=r"rmvpe\.safetensors"):
        send(oss, folder)
    assert names(oss) == ["contentvec.safetensors"]


def test_an_empty_folder_is_told(oss, tmp_path):
    with pytest.raises(InvalidConfiguration, match="holds no base models to send"):
        send(oss, tmp_path / "empty")


def test_large_networks_go_and_come_in_parts(oss, tmp_path, monkeypatch):
    monkeypatch.setattr(upload, "PART_BYTES", 1 << 17)
    folder = tmp_path / "folder"
    weights = torch.frombuffer(bytearray(os.urandom(1 << 20)), dtype=torch.uint8)
    with filling(folder):
        put(folder, "rmvpe", {"weight": weights}, "a test")
    assert send(oss, folder) == ["rmvpe"]
    assert oss.counts["UploadPart"] == 9
    oss.operations.clear()
    assert send(oss, folder) == []
    fetch_stored(URI, settings(oss), tmp_path / "pod", for_training(TrainingSettings()), lambda: None)
    assert torch.equal(open_base_model("rmvpe", tmp_path / "pod").tensors["weight"], weights)


def test_a_folder_or_a_claim_is_a_place_too(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("RVC_CLAIMS_FOLDER", str(tmp_path))
    (tmp_path / "models").mkdir()
    for uri in (f"file://{tmp_path}/there/", "pvc://models/base/"):
        assert send_base_models(folder, uri, StoreSettings(), lambda line: None) == list(NAMES)
        assert send_base_models(folder, uri, StoreSettings(), lambda line: None) == []
    assert open_base_model("rmvpe", tmp_path / "models" / "base").tensors["weight"][0] == 2.0
