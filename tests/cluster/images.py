"""Our container images, made without docker and without a registry."""

from pathlib import Path

from . import oci, toolbox
from .layout import cache_folder, exclusive
from .node_components import PAUSE_IMAGE


def pause() -> Path:
    """The image of the container that holds a pod's namespaces: it sleeps."""
    archive = _folder() / "pause.tar"
    with exclusive("pause"):
        if not archive.exists():
            busybox = toolbox.tools("node").find("bin/busybox")
            oci.archive_program(busybox, ["/busybox", "sleep", "infinity"], archive, PAUSE_IMAGE)
    return archive


def _folder() -> Path:
    folder = cache_folder() / "images"
    folder.mkdir(exist_ok=True)
    return folder
