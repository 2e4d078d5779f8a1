"""Our container images, made without docker and without a registry.

An image is made anew only when what goes into it has changed: base, wheelhouse, Dockerfile or the code that
it copies. buildah keeps the layers of earlier builds, so a change of our own code makes one small layer.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from . import base_image, base_models, oci, toolbox, wheels
from .buildah import Buildah
from .layout import REPOSITORY, ClusterError, cache_folder, exclusive
from .node_components import PAUSE_IMAGE
from .report import say, step
from .staging import stage


@dataclass(frozen=True)
class Recipe:
    """What one image is made of."""

    folder: str
    """Folder of its Dockerfile and Python package."""
    build_time: str
    """How long a first build of all takes on two cores; trainer and inference share their packages."""
    has_base_models: bool


RECIPES = {
    "operator": Recipe("operator", "30 s", has_base_models=False),
    "trainer": Recipe("trainer-image", "90 s", has_base_models=True),
    "inference": Recipe("inference-image", "30 s", has_base_models=True),
}
#: What every image may copy from the repository, beside its own folder.
SHARED_CODE = (REPOSITORY / "LICENSE", REPOSITORY / "rvc", *wheels.LOCKS)


#: Image -> its full name in the cluster.
NAMES = {name: f"localhost/rvc-{name}:dev" for name in RECIPES}


def build(names: Iterable[str] = tuple(NAMES)) -> dict[str, Path]:
    """OCI archives of our images, each made anew only if its inputs have changed; needs root."""
    if os.geteuid() != 0:
        raise ClusterError(
            "building images needs root; or set CLUSTER=current and name images of yours in IMAGE_OPERATOR, "
            "IMAGE_TRAINER and IMAGE_INFERENCE"
        )
    with exclusive("images"):
        return {name: _provide(name) for name in names}


def pause() -> Path:
    """The image of the container that holds a pod's namespaces: it sleeps."""
    archive = _folder() / "pause.tar"
    with exclusive("pause"):
        if not archive.exists():
            busybox = toolbox.tools("node").find("bin/busybox")
            oci.archive_program(busybox, ["/busybox", "sleep", "infinity"], archive, PAUSE_IMAGE)
    return archive


def _provide(name: str) -> Path:
    recipe = RECIPES[name]
    archive = _folder() / f"{name}.tar"
    note = archive.with_suffix(".json")
    # Beside the caches, so that large files can be linked into the context.
    with tempfile.TemporaryDirectory(dir=_folder(), prefix="context-") as scratch:
        context = Path(scratch) / "context"
        linked = {"wheels": wheels.provide()}
        if recipe.has_base_models:
            linked["base-models"] = base_models.provide()
        code = stage(context, [*SHARED_CODE, REPOSITORY / recipe.folder], linked)
        inputs = [code, base_image.digest(), wheels.digest()]
        known = json.loads(note.read_text()) if note.exists() and archive.exists() else {}
        if known.get("inputs") == inputs:
            say(f"Image {NAMES[name]} is up to date")
            return archive
        with step(f"Building image {NAMES[name]}", recipe.build_time):
            dockerfile = context / recipe.folder / "Dockerfile"
            image_id = _make(NAMES[name], context, dockerfile, archive, known.get("id"))
    note.write_text(json.dumps({"inputs": inputs, "id": image_id}))
    return archive


def _make(name: str, context: Path, dockerfile: Path, archive: Path, known_id: str | None) -> str:
    """Build an image and write its archive, unless that has this very image; returns the image's id."""
    generation = hashlib.sha256(f"{base_image.digest()} {wheels.digest()}".encode()).hexdigest()[:12]
    with Buildah(generation) as buildah, tempfile.TemporaryDirectory(dir=_folder()) as scratch:
        image_id = buildah.build(name, dockerfile, context)
        if image_id != known_id:
            exported = Path(scratch) / "image"
            buildah.export(name, exported)
            oci.archive_export(exported, archive, name)
    return image_id


def _folder() -> Path:
    folder = cache_folder() / "images"
    folder.mkdir(exist_ok=True)
    return folder
