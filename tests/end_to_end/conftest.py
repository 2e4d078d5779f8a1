"""A node with our operator on it, recordings on a claim; everything is removed at the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.demo import cluster, speech
from tests.end_to_end.world import World, write_bad_recordings

NAMESPACE = "rvc-e2e"


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The world of the tests, with one minute of speech to learn from and several recordings to convert."""
    with cluster.borrowed() as (kubectl, images):
        cluster.own_namespace(kubectl, NAMESPACE)
        made = World(kubectl, NAMESPACE, images["trainer"])
        data = tmp_path_factory.mktemp("recordings")
        _write(data)
        with made.files() as files:
            files.empty()
            for folder in data.iterdir():
                files.upload(folder, folder.name)
        yield made
        kubectl("delete", "namespace", NAMESPACE, "--timeout=120s")


def _write(data: Path) -> None:
    speech.write_dataset(data / "recordings" / "allison", data / "held-out", minutes=1)
    speech.write_sources(data / "inbox")
    (data / "recordings" / "nothing").mkdir()
    write_bad_recordings(data / "mixed")
    (data / "mixed" / "good.wav").write_bytes((data / "inbox" / "greeting.wav").read_bytes())
    (data / "mixed" / "notes.txt").write_text("not audio, and not meant to be")
