from pathlib import Path

import pytest
import torch

from rvc.errors import ArtifactCorrupt
from rvc.training.checkpoints import Checkpoint, FolderCheckpoints, read_checkpoint, write_checkpoint

CPU = torch.device("cpu")


def checkpoint(epochs_done: int = 1) -> Checkpoint:
    return Checkpoint("sha256:aa", epochs_done, {"weights": torch.arange(5.0)}, {"steps": 3}, {"epochs": []})


def saved(folder: Path, epochs_done: int = 1) -> Path:
    path = folder / "training.checkpoint"
    write_checkpoint(checkpoint(epochs_done), path)
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    found = read_checkpoint(saved(tmp_path), "sha256:aa", CPU, "delete all")
    assert found.epochs_done == 1
    assert torch.equal(found.run["weights"], torch.arange(5.0))
    assert found.losses == {"steps": 3}
    assert found.course == {"epochs": []}


def test_another_trainings_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ArtifactCorrupt, match=r"belongs to another training .* from the beginning, delete all$"
    ):
        read_checkpoint(saved(tmp_path), "sha256:bb", CPU, "delete all")


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 and so on"])
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.checkpoint"
    path.write_bytes(content)
    with pytest.raises(ArtifactCorrupt, match=r"x\.checkpoint cannot be read"):
        read_checkpoint(path, "sha256:aa", CPU, "delete all")


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.checkpoint"
    torch.save({"model": torch.zeros(2)}, path)
    with pytest.raises(ArtifactCorrupt, match="not a checkpoint of this release"):
        read_checkpoint(path, "sha256:aa", CPU, "delete all")


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "ran",))  # type: ignore[return-value]

    path = tmp_path / "x.checkpoint"
    torch.save({"format": 1, "run": Evil()}, path)
    with pytest.raises(ArtifactCorrupt):
        read_checkpoint(path, "sha256:aa", CPU, "delete all")
    assert not (tmp_path / "ran").exists()


def test_a_folder_gives_the_newest_and_keeps_two(tmp_path: Path) -> None:
    store = FolderCheckpoints(tmp_path / "checkpoints")
    assert store.latest() is None
    for epochs_done in (1, 2, 10):
        store.save(saved(tmp_path, epochs_done), epochs_done)
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2
    assert store.starting_over == f"delete {tmp_path / 'checkpoints'}"
    latest = store.latest()
    assert latest is not None
    assert read_checkpoint(latest, "sha256:aa", CPU, "delete all").epochs_done == 10


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_damaged_newest_checkpoint_is_passed_over_with_a_warning(tmp_path: Path, caplog) -> None:
    folder = tmp_path / "checkpoints"
    for epochs_done in (1, 2):
        FolderCheckpoints(folder).save(saved(tmp_path, epochs_done), epochs_done)
    first, second = sorted(folder.iterdir())
    damage(second)
    store = FolderCheckpoints(folder)
    assert store.latest() == first
    assert f"the checkpoint {second} is damaged" in caplog.text
    store.save(saved(tmp_path, 3), 3)
    assert [path.name[:14] for path in sorted(folder.iterdir())] == ["epoch-00000001", "epoch-00000003"]


def test_without_a_whole_checkpoint_training_begins_again(tmp_path: Path, caplog) -> None:
    store = FolderCheckpoints(tmp_path / "checkpoints")
    store.save(saved(tmp_path), 1)
    (path,) = (tmp_path / "checkpoints").iterdir()
    damage(path)
    assert store.latest() is None
    assert "is damaged" in caplog.text


def test_half_a_checkpoint_of_a_killed_process_is_not_one_and_goes(tmp_path: Path) -> None:
    store = FolderCheckpoints(tmp_path / "checkpoints")
    half = tmp_path / "checkpoints" / "xyz.partial"
    half.write_bytes(b"PK")
    assert store.latest() is None
    store.save(saved(tmp_path), 1)
    assert not half.exists()
    assert store.latest() is not None
