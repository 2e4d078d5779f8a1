"""What every kind of storage does."""

import os
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rvc.errors import InvalidConfiguration, ObjectExists, ObjectNotFound
from rvc.store import Store
from rvc.store.keys import TEMPORARY_PREFIX

NAMES = st.text("ab/.é -%#0", min_size=1, max_size=12)
KEYS = st.lists(st.text("abé -%#.0+?&=~*", min_size=1, max_size=6), min_size=1, max_size=4).map("/".join)


def is_plain(key: str) -> bool:
    return all(part not in ("", ".", "..") for part in key.split("/"))


def keys(store: Store, prefix: str = "") -> list[str]:
    return [found.key for found in store.list(prefix)]


def local(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "local"
    path.write_bytes(content)
    return path


def conflicts(first: str, second: str) -> bool:
    return first.startswith(second + "/") or second.startswith(first + "/")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(st.dictionaries(KEYS.filter(is_plain), st.binary(max_size=20), max_size=6), KEYS.filter(is_plain))
def test_objects_come_back_in_the_order_of_their_keys(new_place, objects, folder):
    store = new_place().store
    kept: dict[str, bytes] = {}
    for key, content in objects.items():
        if not any(conflicts(key, other) for other in kept):
            info = store.write_bytes(key, content)
            assert (info.key, info.size) == (key, len(content))
            kept[key] = content
    assert keys(store) == sorted(kept)
    assert {key: store.read_bytes(key) for key in kept} == kept
    assert keys(store, folder + "/") == sorted(key for key in kept if key.startswith(folder + "/"))
    assert [store.stat(found.key) for found in store.list("")] == list(store.list(""))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(NAMES.filter(lambda key: not is_plain(key)))
def test_keys_that_leave_the_store_are_refused(store, key):
    for operation in (store.stat, store.read_bytes, store.delete, lambda key: store.write_bytes(key, b"")):
        with pytest.raises(InvalidConfiguration):
            operation(key)


@pytest.mark.parametrize("key", ["", "/etc/passwd", "a\0b", f"a/{TEMPORARY_PREFIX}x"])
def test_keys_that_are_none_are_refused(store, key):
    with pytest.raises(InvalidConfiguration):
        store.stat(key)


@pytest.mark.parametrize("prefix", ["a", "/", "a//", "../", "a/../"])
def test_prefixes_end_in_a_slash(store, prefix):
    with pytest.raises(InvalidConfiguration):
        keys(store, prefix)


def test_prefixes_match_on_the_slash(store):
    for key in ("ann/1", "anna/2", "ann.txt"):
        store.write_bytes(key, b"")
    assert keys(store, "ann/") == ["ann/1"]
    assert keys(store, "an/") == []


def test_upload_and_download(store, tmp_path):
    content = os.urandom(3 << 20)
    info = store.upload(local(tmp_path, content), "a/b")
    assert info == store.stat("a/b")
    assert store.download("a/b", tmp_path / "back") == info
    assert (tmp_path / "back").read_bytes() == content
    assert sorted(path.name for path in tmp_path.iterdir()) == ["back", "local"]


def test_a_download_takes_the_place_of_an_older_copy(store, tmp_path):
    (tmp_path / "back").write_bytes(b"much longer than what comes")
    store.write_bytes("a", b"")
    store.download("a", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b""


def test_whether_an_object_is_that_file(store, tmp_path):
    path = local(tmp_path, b"content")
    assert not store.holds("a", path)
    store.upload(path, "a")
    store.write_bytes("b/c", b"content")
    assert store.holds("a", path)
    assert store.holds("b/c", path)
    assert not store.holds("b", path)
    for other in (b"Content", b"cont"):
        store.write_bytes("a", other)
        assert not store.holds("a", path)


def test_what_is_not_there(place, tmp_path):
    store = place.store
    assert store.stat("a/b") is None
    store.delete("a/b")
    for operation in (store.read_bytes, lambda key: store.download(key, tmp_path / "back")):
        with pytest.raises(ObjectNotFound, match=f"{place.uri}a/b"):
            operation("a/b")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_no_object(store):
    store.write_bytes("a/b", b"")
    assert store.stat("a") is None
    with pytest.raises(ObjectNotFound):
        store.read_bytes("a")


def test_the_etag_changes_with_the_content(store):
    first = store.write_bytes("a", b"1")
    assert store.stat("a") == first
    assert store.write_bytes("a", b"2").etag != first.etag


def test_without_overwriting_the_first_content_stays(place, tmp_path):
    store = place.store
    first = store.write_bytes("a", b"first", overwrite=False)
    with pytest.raises(ObjectExists, match=f"{place.uri}a"):
        store.upload(local(tmp_path, b"second"), "a", overwrite=False)
    assert store.upload(local(tmp_path, b"first"), "a", overwrite=False) == first
    assert store.read_bytes("a") == b"first"
    store.write_bytes("a", b"third")
    assert store.read_bytes("a") == b"third"
    assert keys(store) == ["a"]


def test_of_many_writers_one_wins_and_nothing_is_mixed(store):
    contents = [bytes([index]) * 200_000 for index in range(8)]
    start = threading.Barrier(len(contents))
    won = []

    def write(content: bytes) -> None:
        start.wait()
        try:
            store.write_bytes("a", content, overwrite=False)
            won.append(content)
        except ObjectExists:
            pass

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won == [store.read_bytes("a")]


def test_a_local_file_that_is_not_there_is_no_matter_of_the_store(store, tmp_path):
    with pytest.raises(FileNotFoundError):
        store.upload(tmp_path / "nothing", "a")
