"""OCI image archives: the one form in which images travel from the builder to the node."""

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from .layout import ClusterError

MEDIA = "application/vnd.oci.image"
NAME = "io.containerd.image.name"
"""The annotation from which containerd takes an image's full name."""
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def digest(archive: Path) -> str:
    """Digest of the image in an archive, as containerd will show it."""
    return str(_only_manifest(archive)["digest"])


def name(archive: Path) -> str:
    """Full name of the image in an archive, such as "localhost/rvc-operator:dev"."""
    return str(_only_manifest(archive)["annotations"][NAME])


def _only_manifest(archive: Path) -> Any:
    with tarfile.open(archive) as content:
        for member in content:
            if member.name == "index.json" and (file := content.extractfile(member)):
                return json.load(file)["manifests"][0]
    raise ClusterError(f"{archive} is no OCI archive: it has no index.json")


def write_archive(
    archive: Path, image_name: str, manifest: dict[str, Any], blobs: Iterator[tuple[str, Path | bytes]]
) -> None:
    """Write an archive with one image; `blobs` are (hex digest, content), among them the manifest.

    The archive gets its name last, so that one that exists is complete.
    """
    index = {
        "schemaVersion": 2,
        "manifests": [{**manifest, "annotations": {NAME: image_name}}],
    }
    partial = archive.with_suffix(".partial")
    with tarfile.open(partial, "w") as content:
        _add(content, "oci-layout", json.dumps({"imageLayoutVersion": "1.0.0"}).encode())
        _add(content, "index.json", json.dumps(index).encode())
        for hexadecimal, blob in blobs:
            _add(content, f"blobs/sha256/{hexadecimal}", blob)
    partial.rename(archive)


def _add(content: tarfile.TarFile, path: str, blob: Path | bytes) -> None:
    member = tarfile.TarInfo(path)
    if isinstance(blob, Path):
        member.size = blob.stat().st_size
        with blob.open("rb") as file:
            content.addfile(member, file)
    else:
        member.size = len(blob)
        content.addfile(member, io.BytesIO(blob))


def archive_export(folder: Path, archive: Path, image_name: str) -> None:
    """Pack an image that buildah has exported (manifest.json, blobs named by digest) as `image_name`."""
    content = (folder / "manifest.json").read_bytes()
    manifest = json.loads(content)
    descriptor, own_blob = _describe(manifest["mediaType"], content)
    digests = [each["digest"].removeprefix("sha256:") for each in (manifest["config"], *manifest["layers"])]
    blobs = ((digest, folder / digest) for digest in digests)
    write_archive(archive, image_name, descriptor, chain([own_blob], blobs))


def _describe(media_type: str, content: bytes) -> tuple[dict[str, Any], tuple[str, bytes]]:
    """The descriptor of a blob, and the blob with its hex digest."""
    hexadecimal = hashlib.sha256(content).hexdigest()
    descriptor = {"mediaType": media_type, "digest": f"sha256:{hexadecimal}", "size": len(content)}
    return descriptor, (hexadecimal, content)


def archive_program(program: Path, command: list[str], archive: Path, image_name: str) -> None:
    """Make an image from nothing but one static program, at the root of its file tree."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tree:
        member = tarfile.TarInfo(program.name)
        member.mode = 0o755
        member.size = program.stat().st_size
        with program.open("rb") as file:
            tree.addfile(member, file)
    layer_descriptor, layer_blob = _describe(f"{MEDIA}.layer.v1.tar", layer.getvalue())
    configuration = {
        "architecture": ARCHITECTURE,
        "os": "linux",
        "config": {"Entrypoint": command, "User": "65534:65534"},
        "rootfs": {"type": "layers", "diff_ids": [layer_descriptor["digest"]]},
    }
    config, config_blob = _describe(f"{MEDIA}.config.v1+json", json.dumps(configuration).encode())
    media_type = f"{MEDIA}.manifest.v1+json"
    manifest = {"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": [layer_descriptor]}
    descriptor, blob = _describe(media_type, json.dumps(manifest).encode())
    write_archive(archive, image_name, descriptor, iter([blob, config_blob, layer_blob]))
