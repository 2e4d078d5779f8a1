"""The base of our images on this cluster: Debian with Python, made by debootstrap."""

import hashlib
import shutil
from pathlib import Path

from . import toolbox
from .layout import cache_folder, exclusive
from .report import step
from .toolbox import SUITE, mirror, run

PACKAGES = ("python3",)
#: What an image has no use for: package lists and archives, documentation, translations, logs.
UNUSED = (
    "var/cache/apt",
    "var/lib/apt/lists",
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "var/log",
)


def digest() -> str:
    """What decides the base: the recipe, that is, this file."""
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()


def file_tree() -> Path:
    """A tar of the base's file tree, from the cache when the recipe is unchanged."""
    archive = cache_folder() / "base" / f"{SUITE}-{digest()[:12]}.tar"
    archive.parent.mkdir(exist_ok=True)
    with exclusive("base"):
        if not archive.exists():
            with step(f"Making a Debian {SUITE} base image with Python", "1 minute"):
                _make(archive)
    return archive


def _make(archive: Path) -> None:
    tools = toolbox.tools("images")
    tree = archive.with_suffix(".tree")
    _remove(tree)
    command = [tools.which("debootstrap"), "--variant=minbase", f"--include={','.join(PACKAGES)}"]
    environment = tools.environment | {"DEBOOTSTRAP_DIR": str(tools.find("usr/share/debootstrap"))}
    # In a mount namespace of its own, debootstrap's mounts of /proc and /sys end with it.
    run(["unshare", "--mount", *command, SUITE, str(tree), mirror()], environment=environment)
    for folder in UNUSED:
        shutil.rmtree(tree / folder)
        (tree / folder).mkdir()
    partial = archive.with_suffix(".partial")
    # Fixed order, owners and times: the same packages give the same layer on every machine.
    options = ["--sort=name", "--mtime=@0", "--numeric-owner", "--one-file-system", "--exclude=./dev/*"]
    run(["tar", "--create", *options, "--file", str(partial), "--directory", str(tree), "."])
    _remove(tree)
    partial.rename(archive)


def _remove(tree: Path) -> None:
    if tree.exists():
        shutil.rmtree(tree)
