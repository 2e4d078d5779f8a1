import shutil
from pathlib import Path

import pytest

from rvc.base_models import default_folder, open_base_model, read_manifest
from rvc.base_models.fetch import fetch_base_models
from rvc.base_models.filling import filling, put
from rvc.base_models.sources import DEFAULT_NAMES

from . import base_models


def test_images_get_what_is_fetched_and_nothing_that_was_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch_base_models(default_folder(), print)
    shutil.copytree(default_folder(), tmp_path / "rvc-operator" / "base-models")
    with filling(tmp_path / "rvc-operator" / "base-models"):
        put(tmp_path / "rvc-operator" / "base-models", "rmvpe", {}, "a person")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for _ in range(2):
        baked = base_models.provide()
        manifest = read_manifest(baked)
        assert manifest is not None
        assert set(manifest.models) == set(DEFAULT_NAMES)
        for name in DEFAULT_NAMES:
            open_base_model(name, baked)
