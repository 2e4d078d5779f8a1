"""The release download, from a server of our own: what arrives is checked before anything is made of it."""

import hashlib
import io
import os
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from .layout import ClusterError
from .release_download import Release, pinned

PROGRAM = b"#!/bin/sh\necho served\n"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Address of a server that offers a release archive."""
    published = tmp_path / "published"
    published.mkdir()
    with tarfile.open(published / "server.tar.gz", "w:gz") as archive:
        for name in ("kubelet", "kube-scheduler", "kube-log-runner"):
            member = tarfile.TarInfo(f"kubernetes/server/bin/{name}")
            member.size = len(PROGRAM)
            archive.addfile(member, io.BytesIO(PROGRAM))
    handler = partial(SimpleHTTPRequestHandler, directory=str(published))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/server.tar.gz"
        running.shutdown()
        thread.join()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "bin"
    made.mkdir()
    return made


def test_wanted_programs_are_extracted(server: str, folder: Path, tmp_path: Path) -> None:
    digest = hashlib.sha512((tmp_path / "published/server.tar.gz").read_bytes()).hexdigest()
    release = Release("v1.0.0", server, digest)
    assert release.available()
    release.download(folder, ("kubelet", "kube-scheduler"))
    assert sorted(path.name for path in folder.iterdir()) == ["kube-scheduler", "kubelet"]
    assert (folder / "kubelet").read_bytes() == PROGRAM
    assert os.access(folder / "kubelet", os.X_OK)


def test_another_archive_than_the_pinned_one_is_refused(server: str, folder: Path) -> None:
    with pytest.raises(ClusterError, match="not the published one"):
        Release("v1.0.0", server, "0" * 128).download(folder, ("kubelet",))
    assert list(folder.iterdir()) == []


def test_a_host_that_is_not_there_is_not_waited_for() -> None:
    assert not Release("v1.0.0", "http://127.0.0.1:1/server.tar.gz", "").available()


def test_pinned_release_has_whole_digests() -> None:
    release = pinned()
    assert release is None or len(bytes.fromhex(release.sha512)) == 64
