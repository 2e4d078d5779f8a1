"""Voices in a bucket: a byte that is wrong is refused, and attempts at the same time publish no mixture."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rvc.errors import ArtifactCorrupt, StoreUnavailable
from rvc.store.oss.store import OssStore
from rvc.voice import fetch_voice, find_published, publish_voice
from tests.oss import Fault, OssServer
from tests.store.support import SimulatedTime, open_oss
from tests.voice.test_voice import make_voice

PREFIX = "models/ann/1/"


@pytest.fixture
def server(tmp_path) -> Iterator[OssServer]:
    with OssServer(folder=tmp_path) as server:
        yield server


@pytest.fixture
def store(server) -> OssStore:
    return open_oss(server, SimulatedTime())


@pytest.fixture
def folder(tmp_path) -> Path:
    return make_voice(tmp_path / "voice")


def flip(server: OssServer, key: str, metadata: dict[str, str] | None = None) -> None:
    """Damage an object where it lies; it keeps the sha256 that its writer noted, or has `metadata`."""
    bucket = server.buckets["voices"]
    found = bucket.get(key)
    content = bytearray(b"".join(found.body.chunks()))
    content[len(content) // 2] ^= 1
    bucket.put(key, bucket.receive(iter([bytes(content)])), found.metadata if metadata is None else metadata)


@pytest.mark.parametrize("name", ["voice.safetensors", "index.faiss", "manifest.json"])
@pytest.mark.parametrize("metadata", [None, {}], ids=["noted", "unnoted"])
def test_a_flipped_byte_is_refused(server, store, folder, tmp_path, name, metadata):
    digest, _ = publish_voice(folder, store, PREFIX)
    flip(server, PREFIX + name, metadata)
    with pytest.raises(ArtifactCorrupt, match=name):
        fetch_voice(store, PREFIX, tmp_path / "fetched", digest)


@pytest.mark.parametrize("name", ["voice.safetensors", "index.faiss", "manifest.json"])
def test_a_byte_that_flips_on_the_way_is_asked_for_again(server, store, folder, tmp_path, name):
    digest, _ = publish_voice(folder, store, PREFIX)
    server.faults.add(Fault("GetObject", f"*/{name}", flip_byte=20, times=2))
    assert fetch_voice(store, PREFIX, tmp_path / "fetched", digest).digest == digest


def test_attempts_at_the_same_time_publish_no_mixture(server, store, folder, tmp_path):
    other = make_voice(tmp_path / "other", value=2.0)

    def hook(operation) -> None:
        if (operation.name, operation.key) == ("PutObject", PREFIX + "voice.safetensors"):
            server.after_operation = None
            store.upload(other / "voice.safetensors", PREFIX + "voice.safetensors")

    server.after_operation = hook
    with pytest.raises(StoreUnavailable, match="somebody else"):
        publish_voice(folder, store, PREFIX)
    assert find_published(store, PREFIX) is None
    digest, _ = publish_voice(folder, store, PREFIX)
    assert fetch_voice(store, PREFIX, tmp_path / "fetched", digest).digest == digest
