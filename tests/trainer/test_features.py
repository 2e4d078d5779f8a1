"""Features in a store: sent by the bundle, whole, verified, and never in the way of a training."""

from pathlib import Path

import pytest

import rvc_trainer.features
from rvc.errors import PermissionDenied, StoreUnavailable
from rvc.store import FolderStore
from rvc_trainer.features import StoreFeatures

PREFIX = "voice/checkpoints/features/"


@pytest.fixture
def claim(tmp_path) -> Path:
    (tmp_path / "claim").mkdir()
    return tmp_path / "claim"


@pytest.fixture
def store(claim) -> FolderStore:
    return FolderStore(claim, "pvc://claim/")


def opened(store: FolderStore, tmp_path: Path) -> StoreFeatures:
    (tmp_path / "scratch").mkdir(exist_ok=True)
    return StoreFeatures(store, PREFIX, tmp_path / "scratch")


def made(tmp_path: Path, number: int) -> Path:
    path = tmp_path / f"{number:064x}.npz"
    path.write_bytes(b"%d" % number * 1000)
    return path


def brought(store: FolderStore, tmp_path: Path) -> dict[str, bytes]:
    """What the next attempt finds."""
    folder = tmp_path / "brought"
    folder.mkdir()
    opened(store, tmp_path).bring(folder)
    assert list((tmp_path / "scratch").iterdir()) == []
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def bundles(claim: Path) -> list[Path]:
    return sorted((claim / PREFIX).glob("*"))


def test_nothing_is_there_at_first_and_nothing_is_sent_for_nothing(store, claim, tmp_path):
    opened(store, tmp_path).finish()
    assert brought(store, tmp_path) == {}
    assert bundles(claim) == []


def test_files_travel_together_and_come_back(store, claim, tmp_path, monkeypatch):
    monkeypatch.setattr(rvc_trainer.features, "BUNDLE_BYTES", 2500)
    features = opened(store, tmp_path)
    paths = [made(tmp_path, number) for number in range(4)]
    for number, path in enumerate(paths):
        features.keep(path)
        assert len(bundles(claim)) == number // 3 + (number % 3 == 2)
    features.finish()
    features.finish()
    assert len(bundles(claim)) == 2
    assert brought(store, tmp_path) == {path.name: path.read_bytes() for path in paths}


@pytest.mark.parametrize("damage", ["flip", "cut", "other"])
def test_a_damaged_bundle_is_passed_over(store, claim, tmp_path, damage, caplog):
    features = opened(store, tmp_path)
    for number in range(2):
        features.keep(made(tmp_path, number))
        features.finish()
    first, second = bundles(claim)
    expected = second.read_bytes()
    match damage:
        case "flip":
            first.write_bytes(first.read_bytes()[:-1] + b"?")
        case "cut":
            first.write_bytes(first.read_bytes()[:100])
        case "other":
            first.write_bytes(expected)
    found = brought(store, tmp_path)
    assert [content in expected for content in found.values()] == [True]
    assert caplog.messages.count("features skipped") == 1


class Failing(FolderStore):
    """A store that takes nothing."""

    def __init__(self, root: Path, error: Exception) -> None:
        super().__init__(root, "pvc://claim/")
        self.error = error
        self.uploads = 0

    def upload(self, path, key, *, overwrite=True):
        self.uploads += 1
        raise self.error


@pytest.mark.parametrize("error", [StoreUnavailable("no answer"), PermissionDenied("read only")])
def test_who_cannot_keep_features_goes_on_without(claim, tmp_path, error, caplog):
    store = Failing(claim, error)
    features = opened(store, tmp_path)
    for number in range(2):
        features.keep(made(tmp_path, number))
        features.finish()
    assert store.uploads == 1
    assert caplog.messages.count("features are not kept") == 1
    assert brought(store, tmp_path) == {}
