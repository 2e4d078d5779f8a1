"""The pretrained networks that are baked into the trainer's and the server's image."""

import sys
from pathlib import Path

from .layout import REPOSITORY, cache_folder
from .report import step
from .toolbox import run

MANIFEST = "manifest.json"


def provide() -> Path:
    """The folder of base models, complete: its manifest is written last and names every file's digest."""
    folder = cache_folder().parent / "base-models"
    if not (folder / MANIFEST).exists():
        with step("Fetching the base models", "10 s"):
            run([sys.executable, "-m", "rvc.base_models", "fetch", str(folder)], cwd=REPOSITORY)
    return folder
