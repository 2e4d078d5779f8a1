"""Checkpoints in a store: sent in the background, whole, verified, two of them."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rvc.errors import PermissionDenied, StoreUnavailable, Terminated
from rvc.store import FolderStore, Store
from rvc_trainer.checkpoints import StoreCheckpoints, sweep

PREFIX = "voice/checkpoints/"


@pytest.fixture
def claim(tmp_path) -> Path:
    (tmp_path / "claim").mkdir()
    return tmp_path / "claim"


@pytest.fixture
def store(claim) -> FolderStore:
    return FolderStore(claim, "pvc://claim/")


@pytest.fixture
def checkpoints(store, tmp_path) -> Iterator[StoreCheckpoints]:
    (tmp_path / "scratch").mkdir()
    with opened(store, tmp_path) as checkpoints:
        yield checkpoints


def opened(store: Store, tmp_path: Path) -> StoreCheckpoints:
    return StoreCheckpoints(store, PREFIX, tmp_path / "scratch", "pvc://claim/voice/checkpoints/")


def make(checkpoints: StoreCheckpoints, tmp_path: Path, epoch: int, content: bytes) -> None:
    """Save as training does: the file is gone afterwards."""
    file = tmp_path / "training.checkpoint"
    file.write_bytes(content)
    try:
        checkpoints.save(file, epoch)
    finally:
        file.unlink()


def save(checkpoints: StoreCheckpoints, tmp_path: Path, epoch: int, content: bytes) -> None:
    make(checkpoints, tmp_path, epoch, content)
    checkpoints.background.join()


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


def test_a_damaged_one_is_not_what_is_kept(checkpoints, claim, store, tmp_path):
    save(checkpoints, tmp_path, 1, b"good one")
    save(checkpoints, tmp_path, 2, b"bad one!")
    (claim / PREFIX / "00000002.checkpoint").write_bytes(b"bad one?")
    with opened(store, tmp_path) as following:
        assert following.latest().read_bytes() == b"good one"
        save(following, tmp_path, 2, b"another")
        assert names(claim) == [
            "00000001.checkpoint",
            "00000001.json",
            "00000003.checkpoint",
            "00000003.json",
        ]


class Held(FolderStore):
    """Uploads wait until the gate is open, and meet with trouble while there is any."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, "pvc://claim/")
        self.gate = threading.Event()
        self.begun = threading.Event()
        self.trouble: list[Exception] = []

    def upload(self, path, key, *, overwrite=True):
        self.begun.set()
        self.gate.wait()
        if self.trouble:
            raise self.trouble.pop(0)
        return super().upload(path, key, overwrite=overwrite)


@pytest.fixture
def held(claim, tmp_path) -> Held:
    (tmp_path / "scratch").mkdir()
    return Held(claim)


def test_training_goes_on_and_only_the_newest_waits(held, claim, tmp_path):
    with opened(held, tmp_path) as checkpoints:
        make(checkpoints, tmp_path, 1, b"one")
        held.begun.wait()
        for epoch in (2, 3, 4):
            make(checkpoints, tmp_path, epoch, b"%d" % epoch)
        assert not (claim / PREFIX).exists()
        assert len(list((tmp_path / "scratch").iterdir())) == 2, "one under way, one that waits"
        held.gate.set()
    assert names(claim) == [
        "00000001.checkpoint",
        "00000001.json",
        "00000002.checkpoint",
        "00000002.json",
    ]
    assert list((tmp_path / "scratch").iterdir()) == []
    assert opened(held, tmp_path).latest().read_bytes() == b"4"


def test_a_failure_is_made_good_by_the_next_one_which_is_waited_for(held, tmp_path, caplog):
    held.gate.set()
    held.trouble = [StoreUnavailable("no answer")]
    with opened(held, tmp_path) as checkpoints:
        make(checkpoints, tmp_path, 1, b"one")
        checkpoints.background.settle()
        make(checkpoints, tmp_path, 2, b"two")
        assert opened(held, tmp_path).latest().read_bytes() == b"two"
    assert "checkpoint not saved yet" in caplog.messages


@pytest.mark.parametrize("kind", [StoreUnavailable, PermissionDenied])
def test_training_ends_when_the_next_one_fails_too(held, tmp_path, kind):
    held.gate.set()
    held.trouble = [kind("first"), kind("second")]
    with opened(held, tmp_path) as checkpoints:
        make(checkpoints, tmp_path, 1, b"one")
        checkpoints.background.settle()
        with pytest.raises(kind, match="second"):
            make(checkpoints, tmp_path, 2, b"two")


def test_a_stop_that_could_not_be_saved_is_a_failure(held, tmp_path):
    def stopped() -> None:
        with opened(held, tmp_path) as checkpoints:
            make(checkpoints, tmp_path, 1, b"one")
            raise Terminated("stopped")

    held.gate.set()
    held.trouble = [StoreUnavailable("no answer")]
    with pytest.raises(StoreUnavailable):
        stopped()
    with pytest.raises(Terminated):
        stopped()


def test_a_finished_training_does_not_need_its_last_checkpoint(held, tmp_path, caplog):
    held.gate.set()
    held.trouble = [StoreUnavailable("no answer")]
    with opened(held, tmp_path) as checkpoints:
        make(checkpoints, tmp_path, 1, b"one")
    assert "the last checkpoint is not saved" in caplog.messages
