"""What decides whether an image is made anew, and the archives in which images travel."""

import hashlib
import json
import os
import tarfile
from pathlib import Path

import pytest

from . import current, oci, staging
from .layout import REPOSITORY, ClusterError

CODE = REPOSITORY / "tests" / "cluster"


def test_same_code_has_the_same_digest_whenever_it_was_checked_out(tmp_path: Path) -> None:
    first = staging.stage(tmp_path / "first", [CODE], {})
    os.utime(CODE / "staging.py")
    assert staging.stage(tmp_path / "second", [CODE], {}) == first


def test_other_content_and_other_modes_have_other_digests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "REPOSITORY", tmp_path)
    (tmp_path / "code").mkdir()
    file = tmp_path / "code" / "program.py"
    digests = set()
    for number, (text, mode) in enumerate([("one", 0o644), ("two", 0o644), ("two", 0o755)]):
        file.write_text(text)
        file.chmod(mode)
        digests.add(staging.stage(tmp_path / f"context-{number}", [tmp_path / "code"], {}))
    assert len(digests) == 3


def test_context_has_what_is_linked_and_nothing_that_python_left(tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.mkdir()
    (large / "weights").write_text("heavy")
    context = tmp_path / "context"
    staging.stage(context, [CODE], {"models": large})
    assert (context / "models" / "weights").read_text() == "heavy"
    assert (context / "tests" / "cluster" / "staging.py").exists()
    assert list(context.rglob("__pycache__")) == []


def test_program_image_is_consistent(tmp_path: Path) -> None:
    program = tmp_path / "sleeper"
    program.write_bytes(b"\x7fELF")
    archive = tmp_path / "image.tar"
    oci.archive_program(program, ["/sleeper"], archive, "localhost/sleeper:1")
    assert oci.name(archive) == "localhost/sleeper:1"
    with tarfile.open(archive) as content:
        blobs = {
            member.name.removeprefix("blobs/sha256/"): file.read()
            for member in content
            if member.name.startswith("blobs/") and (file := content.extractfile(member))
        }
    assert all(hashlib.sha256(blob).hexdigest() == name for name, blob in blobs.items())
    manifest = json.loads(blobs[oci.digest(archive).removeprefix("sha256:")])
    for described in (manifest["config"], *manifest["layers"]):
        assert len(blobs[described["digest"].removeprefix("sha256:")]) == described["size"]


def test_current_cluster_asks_for_the_images_that_are_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_OPERATOR", "registry.example/operator:1")
    monkeypatch.delenv("IMAGE_TRAINER", raising=False)
    monkeypatch.delenv("IMAGE_INFERENCE", raising=False)
    with pytest.raises(ClusterError, match="IMAGE_TRAINER, IMAGE_INFERENCE"):
        current.image_names()
    monkeypatch.setenv("IMAGE_TRAINER", "registry.example/trainer:1")
    monkeypatch.setenv("IMAGE_INFERENCE", "registry.example/inference:1")
    assert current.image_names()["trainer"] == "registry.example/trainer:1"


def test_another_wish_than_current_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLUSTER", "mine")
    with pytest.raises(ClusterError, match="current"):
        current.chosen()
