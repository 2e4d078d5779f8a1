"""The pretrained networks that are baked into the trainer's and the server's image."""

import shutil
from pathlib import Path

from rvc.base_models.fetch import fetch_base_models
from rvc.base_models.sources import DEFAULT_NAMES
from rvc.base_models.stored import fetch_stored
from rvc.contract import StoreSettings

from .layout import cache_folder, exclusive
from .report import say


def provide() -> Path:
    """A folder with the networks of `rvc fetch-base` and no others: what a person added to the cache stays
    out of the images."""
    everything, baked = cache_folder().parent / "base-models", cache_folder() / "base-models"
    with exclusive("base-models"):
        fetch_base_models(everything, say)
        shutil.rmtree(baked, ignore_errors=True)
        return fetch_stored(f"file://{everything}", StoreSettings(), baked, DEFAULT_NAMES, lambda: None)
