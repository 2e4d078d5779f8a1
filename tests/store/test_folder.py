import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rvc.errors import (
    InvalidConfiguration,
    ObjectExists,
    ObjectNotFound,
    PermissionDenied,
    StoreUnavailable,
)
from rvc.store import FolderStore
from rvc.store.failures import store_errors
from rvc.store.keys import TEMPORARY_PREFIX


@pytest.fixture
def store(tmp_path) -> FolderStore:
    root = tmp_path / "claim"
    root.mkdir()
    return FolderStore(root, "pvc://claim/")


def keys(store: FolderStore, prefix: str = "") -> list[str]:
    return [found.key for found in store.list(prefix)]


def local(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "local"
    path.write_bytes(content)
    return path


def test_a_listing_is_lazy(store):
    for index in range(3):
        store.write_bytes(f"{index}/x", b"")
    listing = store.list("")
    assert next(listing).key == "0/x"
    store.delete("1/x")
    assert next(listing).key == "2/x"


def test_without_overwriting_the_first_content_stays(store, tmp_path):
    first = store.write_bytes("a", b"first", overwrite=False)
    with pytest.raises(ObjectExists, match="pvc://claim/a"):
        store.upload(local(tmp_path, b"second"), "a", overwrite=False)
    assert store.upload(local(tmp_path, b"first"), "a", overwrite=False) == first
    assert store.read_bytes("a") == b"first"
    store.write_bytes("a", b"third")
    assert store.read_bytes("a") == b"third"
    assert [path.name for path in (tmp_path / "claim").iterdir()] == ["a"]


def test_file_systems_without_hard_links(store, monkeypatch):
    def refuse(source: str, target: str) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    store.write_bytes("a", b"first", overwrite=False)
    with pytest.raises(ObjectExists):
        store.write_bytes("a", b"second", overwrite=False)
    assert store.read_bytes("a") == b"first"


def test_a_killed_writer_leaves_nothing_to_be_seen_and_sweep_removes_the_rest(store, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    root = tmp_path / "claim"
    program = (
        "from pathlib import Path; from rvc.store import FolderStore\n"
        f"FolderStore(Path({str(root)!r}), 'pvc://claim/').upload(Path({str(pipe)!r}), 'voices/a')"
    )
    writer = subprocess.Popen([sys.executable, "-c", program])
    with pipe.open("wb") as source:
        source.write(b"x" * (2 << 20))
        source.flush()
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    (leftover,) = (root / "voices").iterdir()
    assert leftover.name.startswith(TEMPORARY_PREFIX)
    assert keys(store) == []
    written = leftover.stat().st_mtime
    assert store.sweep("", older_than=written) == 0
    assert store.sweep("voices/", older_than=written + 1) == 1
    assert list((root / "voices").iterdir()) == []


def test_links_out_of_the_volume_are_refused(store, tmp_path):
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "claim" / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "claim" / "folder").symlink_to(tmp_path)
    for key in ("link", "folder/secret"):
        with pytest.raises(PermissionDenied, match="symbolic link"):
            store.read_bytes(key)
    with pytest.raises(PermissionDenied):
        store.write_bytes("folder/new", b"")
    assert not (tmp_path / "new").exists()
    assert keys(store) == ["link"], "a bad link is an input that fails, not one that is overlooked"


def test_links_within_the_volume_are_files(store, tmp_path):
    store.write_bytes("a/real", b"content")
    (tmp_path / "claim" / "link").symlink_to("a/real")
    assert keys(store) == ["a/real", "link"]
    assert store.read_bytes("link") == b"content"


def test_a_file_that_is_written_while_it_is_read_is_not_taken(store, tmp_path, monkeypatch):
    store.write_bytes("a", b"old content")
    os.utime(tmp_path / "claim" / "a", (0, 0))
    copy = shutil.copyfileobj

    def copy_and_write(*arguments: Any) -> None:
        copy(*arguments)
        (tmp_path / "claim" / "a").write_bytes(b"new content")

    monkeypatch.setattr(shutil, "copyfileobj", copy_and_write)
    with pytest.raises(StoreUnavailable, match="being written"):
        store.download("a", tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_lost_and_found_is_none_of_ours(store):
    store.write_bytes("lost+found/x", b"")
    store.write_bytes("data/lost+found/x", b"")
    assert keys(store) == ["data/lost+found/x"]


def test_a_file_where_a_folder_is_needed(store):
    store.write_bytes("a", b"")
    with pytest.raises(InvalidConfiguration, match="name of this folder"):
        store.write_bytes("a/b", b"")
    with pytest.raises(ObjectNotFound):
        store.read_bytes("a/b")
    assert keys(store, "a/") == []
    store.delete("a/b")


def test_a_name_that_is_too_long(store):
    with pytest.raises(InvalidConfiguration, match="shorten"):
        store.write_bytes("x" * 300, b"")


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EACCES, PermissionDenied),
        (errno.EROFS, PermissionDenied),
        (errno.ENOSPC, StoreUnavailable),
        (errno.EDQUOT, StoreUnavailable),
        (errno.EIO, StoreUnavailable),
        (errno.ESTALE, StoreUnavailable),
        (errno.ETIMEDOUT, StoreUnavailable),
        (errno.ENOENT, ObjectNotFound),
    ],
)
def test_errors_of_the_system_become_ours(number, kind):
    with pytest.raises(kind, match=f"pvc://claim/a: {os.strerror(number)}; ."), store_errors("pvc://claim/a"):
        raise OSError(number, os.strerror(number))


def test_links_that_lead_nowhere_and_files_just_removed_are_left_out(store, tmp_path):
    for key in ("a", "d", "e"):
        store.write_bytes(key, b"")
    for name, target in (("b", "b"), ("c", "nothing"), ("f", "a/below")):
        (tmp_path / "claim" / name).symlink_to(target)
    listing = store.list("")
    assert next(listing).key == "a"
    store.delete("d")
    assert [found.key for found in listing] == ["e"]
