"""Checkpoints in a store: whole, verified, two of them."""

from pathlib import Path

import pytest

from rvc.store import FolderStore
from rvc_trainer.checkpoints import StoreCheckpoints, sweep

PREFIX = "voice/checkpoints/batch-8/"


@pytest.fixture
def claim(tmp_path) -> Path:
    (tmp_path / "claim").mkdir()
    return tmp_path / "claim"


@pytest.fixture
def store(claim) -> FolderStore:
    return FolderStore(claim, "pvc://claim/")


@pytest.fixture
def checkpoints(store, tmp_path) -> StoreCheckpoints:
    (tmp_path / "scratch").mkdir()
    return StoreCheckpoints(store, PREFIX, tmp_path / "scratch", "pvc://claim/voice/checkpoints/")


def save(checkpoints: StoreCheckpoints, tmp_path: Path, epoch: int, content: bytes) -> None:
    file = tmp_path / "training.checkpoint"
    file.write_bytes(content)
    checkpoints.save(file, epoch)


def names(claim: Path) -> list[str]:
    return sorted(path.name for path in (claim / PREFIX).iterdir())


def test_there_is_none_at_first(checkpoints):
    assert checkpoints.latest() is None
    assert "spec.dataset.revision" in checkpoints.starting_over
    assert checkpoints.starting_over.endswith("pvc://claim/voice/checkpoints/")


def test_the_last_two_are_kept(checkpoints, claim, tmp_path):
    for epoch in (10, 20, 20, 30):
        save(checkpoints, tmp_path, epoch, b"weights of %d" % epoch)
    assert names(claim) == [
        "00000003.checkpoint",
        "00000003.json",
        "00000004.checkpoint",
        "00000004.json",
    ]
    assert checkpoints.latest().read_bytes() == b"weights of 30"


@pytest.mark.parametrize("damage", ["flip", "cut", "remove", "record", "not-a-record"])
def test_a_damaged_one_gives_way_to_the_one_before(checkpoints, claim, tmp_path, damage, caplog):
    save(checkpoints, tmp_path, 1, b"good one")
    save(checkpoints, tmp_path, 2, b"bad one!")
    content, record = claim / PREFIX / "00000002.checkpoint", claim / PREFIX / "00000002.json"
    match damage:
        case "flip":
            content.write_bytes(b"bad one?")
        case "cut":
            content.write_bytes(b"bad")
        case "remove":
            content.unlink()
        case "record":
            record.unlink()
        case "not-a-record":
            record.write_bytes(b"{")
    assert checkpoints.latest().read_bytes() == b"good one"
    warned = [line for line in caplog.records if line.message == "checkpoint skipped"]
    assert len(warned) == (0 if damage == "record" else 1)


def test_an_attempt_that_died_while_saving_is_no_obstacle(checkpoints, claim, tmp_path):
    save(checkpoints, tmp_path, 1, b"one")
    (claim / PREFIX / "00000002.checkpoint").write_bytes(b"half of tw")
    assert checkpoints.latest().read_bytes() == b"one"
    save(checkpoints, tmp_path, 2, b"two")
    assert checkpoints.latest().read_bytes() == b"two"


def test_sweeping_leaves_the_rest(checkpoints, store, claim, tmp_path):
    save(checkpoints, tmp_path, 1, b"one")
    (claim / "voice" / "manifest.json").write_text("{}")
    sweep(store, "voice/checkpoints/")
    assert [found.key for found in store.list("")] == ["voice/manifest.json"]
