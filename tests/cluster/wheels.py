"""The wheelhouse: every Python package of our images, downloaded outside and mounted for a build only.

So an image build needs no network, and does not depend on how this machine reaches its package index.
"""

import hashlib
import importlib.metadata
import os
import shutil
import sys
from pathlib import Path

from .layout import REPOSITORY, cache_folder, exclusive
from .report import answers_quickly, step
from .toolbox import run

LOCKS = tuple(REPOSITORY / "requirements" / f"{name}.txt" for name in ("operator", "trainer", "inference"))
PIP_VERSION = importlib.metadata.version("pip")
ONLY_SOURCES = ("alibabacloud-tea", "crcmod", "oss2")
"""Packages without wheels: the image's pip builds them, with the setuptools beside them."""
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"


def digest() -> str:
    """What decides the wheelhouse: the locks (which pin every wheel by its hash) and pip's version."""
    content = b"".join(lock.read_bytes() for lock in LOCKS)
    return hashlib.sha256(f"{PIP_VERSION} {ONLY_SOURCES} wheel".encode() + content).hexdigest()


def provide() -> Path:
    """The folder of wheels, from the cache when the locks are unchanged."""
    folder = cache_folder() / "wheels" / digest()[:12]
    with exclusive("wheels"):
        if not folder.exists():
            with step(f"Downloading the Python packages of the images into {folder}", "1 minute"):
                _download(folder)
    return folder


def _download(folder: Path) -> None:
    # Wheels of earlier locks go: what the new ones share with them is still in pip's own cache.
    shutil.rmtree(folder.parent, ignore_errors=True)
    partial = folder.with_suffix(".partial")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    pip += ["--dest", str(partial), *_torch_index()]
    for lock in LOCKS:
        run([*pip, f"--no-binary={','.join(ONLY_SOURCES)}", "--require-hashes", "--requirement", str(lock)])
    run([*pip, "setuptools>=77", "wheel>=0.45"])
    # pip itself runs from its wheel, so that no image has it installed.
    run([*pip, f"pip=={PIP_VERSION}"])
    partial.rename(folder)


def _torch_index() -> list[str]:
    """PyTorch's index of CPU builds, only where it answers: pip would wait minutes for one that does not."""
    index = os.environ.get("TORCH_INDEX", TORCH_INDEX)
    return ["--extra-index-url", index] if answers_quickly(f"{index}/torch/") else []
