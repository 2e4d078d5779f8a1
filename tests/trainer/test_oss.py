"""What an attempt reads and leaves over OSS: trouble that passes, bytes that are wrong, an end in time."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from rvc.base_models import BaseModelManifest, BaseModelName, read_manifest
from rvc.contract import StoreSettings
from rvc.errors import ArtifactCorrupt, InvalidDataset, PermissionDenied, StoreUnavailable, Terminated
from rvc.store.oss import download, upload
from rvc.store.oss import store as oss_store
from rvc.store.oss.retry import RetryPolicy
from rvc.store.oss.store import OssStore
from rvc_trainer import inputs
from rvc_trainer.checkpoints import StoreCheckpoints
from rvc_trainer.inputs import fetch_base_models, fetch_dataset
from rvc_trainer.pauses import SAVING_SECONDS, Pauses
from tests.fixtures.base_models import base_models
from tests.fixtures.programs import DEADLINE_SECONDS
from tests.oss import KEY_ID, KEY_SECRET, REGION, Fault, OssServer
from tests.store.support import SimulatedTime, open_oss
from tests.trainer.recordings import SETTINGS, request

__all__ = ["base_models"]

PART = 128 * 1024
ALWAYS = float("inf")
RECORDINGS = {f"{number:03}.wav": os.urandom(1000 + number) for number in range(50)} | {
    "deep/large.wav": os.urandom(5 * PART + 3)
}


@pytest.fixture
def oss(monkeypatch, tmp_path) -> Iterator[OssServer]:
    monkeypatch.setenv("OSS_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("OSS_ACCESS_KEY_SECRET", KEY_SECRET)
    monkeypatch.setattr(download, "RANGE_BYTES", PART)
    monkeypatch.setattr(upload, "PART_BYTES", PART)
    with OssServer(folder=tmp_path) as oss:
        yield oss


@pytest.fixture
def store(oss) -> OssStore:
    return open_oss(oss, SimulatedTime())


@pytest.fixture
def recordings(store) -> None:
    for name, content in RECORDINGS.items():
        store.write_bytes(f"recordings/{name}", content)
    store.write_bytes("recordings/.hidden.wav", b"nobody looks")


def fetch(oss: OssServer, folder: Path, stop: threading.Event | None = None) -> Path:
    settings = StoreSettings(endpoint=oss.endpoint, region=REGION)
    asked = request(dataset_uri="oss://voices/recordings/", store=settings)
    return fetch_dataset(asked, folder, Pauses(stop or threading.Event()))


@pytest.mark.usefixtures("recordings")
@pytest.mark.parametrize(
    "fault",
    [
        Fault("GetObject", status=503, code="SlowDown", after=3, times=5),
        Fault("GetObject", reset=True, after=10, times=5),
        Fault("GetObject", truncate_to_bytes=500, times=5),
        Fault("GetObject", flip_byte=10, times=3),
        Fault("ListObjectsV2", status=500, code="InternalError"),
    ],
    ids=lambda fault: f"{fault.operation}-{fault.code or 'broken'}",
)
def test_recordings_arrive_whole(oss, tmp_path, fault):
    oss.faults.add(fault)
    folder = fetch(oss, tmp_path / "dataset")
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    assert {name: path.read_bytes() for name, path in found.items()} == RECORDINGS


@pytest.mark.usefixtures("recordings")
def test_several_come_at_once_and_few_are_asked_for_ahead(oss, tmp_path):
    together = threading.Barrier(inputs.THREADS)

    def hook(operation) -> None:
        if operation.name == "GetObject" and operation.key < "recordings/004":
            together.wait(DEADLINE_SECONDS)

    oss.after_operation = hook
    fetch(oss, tmp_path / "dataset")
    assert not together.broken


@pytest.mark.usefixtures("recordings")
def test_an_error_ends_it_soon(oss, tmp_path):
    oss.faults.add(Fault("GetObject", "*/002.wav", status=403, code="AccessDenied"))
    before = len(oss.operations)
    with pytest.raises(PermissionDenied, match=r"recordings/002\.wav"):
        fetch(oss, tmp_path / "dataset")
    assert len(oss.operations) - before < 2 + 4 * inputs.THREADS


@pytest.mark.usefixtures("recordings")
def test_a_stop_does_not_wait_for_the_store(oss, tmp_path):
    stop = threading.Event()
    oss.faults.add(Fault("GetObject", status=503, code="SlowDown", retry_after_seconds=300, times=ALWAYS))
    oss.after_operation = lambda operation: stop.set() if operation.status == 503 else None
    with pytest.raises(Terminated):
        fetch(oss, tmp_path / "dataset", stop)


@pytest.mark.usefixtures("recordings")
def test_an_outage_that_does_not_end_is_told(oss, tmp_path, monkeypatch):
    monkeypatch.setattr(oss_store, "RetryPolicy", lambda: RetryPolicy(seconds=0.5))
    oss.faults.add(Fault("GetObject", "*/deep/*", status=503, code="ServiceUnavailable", times=ALWAYS))
    with pytest.raises(StoreUnavailable, match=r"recordings/deep/large\.wav.*ServiceUnavailable"):
        fetch(oss, tmp_path / "dataset")


def test_nothing_at_the_uri(oss, tmp_path):
    with pytest.raises(InvalidDataset, match="oss://voices/recordings/ holds no files"):
        fetch(oss, tmp_path / "dataset")


def test_a_damaged_checkpoint_gives_way_to_the_one_before(oss, store, tmp_path, caplog):
    (tmp_path / "scratch").mkdir()
    with StoreCheckpoints(store, "checkpoints/", tmp_path / "scratch", "oss://voices/") as checkpoints:
        for epoch in (1, 2):
            path = tmp_path / "training.checkpoint"
            path.write_bytes(b"%d" % epoch * 3 * PART)
            checkpoints.save(path, epoch)
            path.unlink()
            checkpoints.background.join()
        replace_quietly(oss, "checkpoints/00000002.checkpoint", b"2" * (3 * PART - 1) + b"3")
        assert checkpoints.latest().read_bytes() == b"1" * 3 * PART
    assert "checkpoint skipped" in caplog.messages
    assert oss.buckets["voices"].uploads() == []


def replace_quietly(oss: OssServer, key: str, content: bytes) -> None:
    """Other bytes under the sha256 of those that were uploaded."""
    bucket = oss.buckets["voices"]
    bucket.put(key, bucket.receive(iter([content])), bucket.get(key).metadata)


def test_a_damaged_base_model_is_refused(oss, store, tmp_path, base_models):
    manifest = read_manifest(base_models)
    name = BaseModelName.SPEAKER_ENCODER
    entry = manifest.models[name]
    kept = BaseModelManifest(format_version=manifest.format_version, models={name: entry})
    store.write_bytes("base/manifest.json", msgspec.json.encode(kept))
    content = bytearray((base_models / entry.file).read_bytes())
    content[-1] ^= 1
    store.write_bytes(f"base/{entry.file}", bytes(content))
    settings = StoreSettings(endpoint=oss.endpoint, region=REGION)
    training = msgspec.structs.replace(SETTINGS, base_models_uri="oss://voices/base/")
    with pytest.raises(ArtifactCorrupt, match=entry.file):
        fetch_base_models(
            request(training=training, store=settings), tmp_path / "base", Pauses(threading.Event())
        )


def test_a_stop_leaves_time_to_save_and_no_more():
    now = [0.0]
    stop = threading.Event()
    pauses = Pauses(stop, lambda: now[0])
    pauses.sleep(0.0)
    stop.set()
    with pytest.raises(Terminated):
        pauses.sleep(60.0)
    pauses.sleep_to_save(0.0)
    now[0] = SAVING_SECONDS - 1
    pauses.sleep_to_save(0.0)
    now[0] = SAVING_SECONDS
    with pytest.raises(Terminated, match="since the last checkpoint is lost"):
        pauses.sleep_to_save(0.0)
