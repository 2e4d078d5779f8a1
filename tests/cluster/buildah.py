"""buildah with a storage and configuration of its own; no daemon, no registry."""

import json
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from . import base_image, toolbox
from .layout import cache_folder
from .report import step
from .toolbox import run

#: Every image is local, so there is no one whose signature could be asked for.
POLICY = {"default": [{"type": "insecureAcceptAnything"}]}

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Buildah:
    """A session with the image storage; use as a context manager."""

    def __init__(self, generation: str) -> None:
        """Open the storage of one `generation` of large layers; storages of other generations are removed."""
        self._tools = toolbox.tools("images")
        self._storage = cache_folder() / "containers" / generation
        for storage in self._storage.parent.glob("*"):
            if storage != self._storage:
                shutil.rmtree(storage)
        self._scratch = Path(tempfile.mkdtemp(prefix="rvc-buildah-"))
        self._policy = self._scratch / "policy.json"
        self._policy.write_text(json.dumps(POLICY))
        (self._scratch / "registries.conf").touch()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._scratch)

    def build(self, name: str, dockerfile: Path, context: Path) -> str:
        """Build an image on our base, reusing layers of earlier builds; returns the image's id."""
        options = ["--layers", "--force-rm", "--pull-never", "--isolation=chroot", "--network=host"]
        return self._build(name, dockerfile, context, *options, f"--build-arg=BASE_IMAGE={self._base()}")

    def export(self, name: str, folder: Path) -> None:
        """Write an image's manifest and blobs into a new folder, layers uncompressed."""
        self._run(
            "push",
            "--quiet",
            "--disable-compression",
            f"--signature-policy={self._policy}",
            name,
            f"dir:{folder}",
        )

    def _build(self, name: str, dockerfile: Path, context: Path, *options: str) -> str:
        # A fixed time in place of the present: what is the same gets the same digest.
        fixed = ["--timestamp=0", "--format=oci", f"--signature-policy={self._policy}", f"--tag={name}"]
        output = self._run("build", "--quiet", *fixed, *options, f"--file={dockerfile}", str(context))
        return output.split()[-1]

    def _base(self) -> str:
        """Name of the base image, imported into the storage when it is not there."""
        name = f"localhost/rvc-base:{base_image.digest()[:12]}"
        if not self._has(name):
            tree = base_image.file_tree()
            dockerfile = self._scratch / "Dockerfile.base"
            dockerfile.write_text(f"FROM scratch\nADD {tree.name} /\nENV PATH={SEARCH_PATH}\n")
            with step("Importing the base image", "10 s"):
                self._build(name, dockerfile, tree.parent)
        return name

    def _has(self, name: str) -> bool:
        return name in self._run("images", "--format={{.Name}}:{{.Tag}}").split()

    def _run(self, command: str, *arguments: str) -> str:
        storage = [
            "--storage-driver=overlay",
            f"--root={self._storage}",
            f"--runroot={self._scratch / 'run'}",
        ]
        environment = self._tools.environment | {
            "CONTAINERS_REGISTRIES_CONF": str(self._scratch / "registries.conf")
        }
        program = [self._tools.which("buildah"), *storage, command, *arguments]
        return run(self._tools.with_libraries(program), environment=environment)
