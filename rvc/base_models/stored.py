"""A base-model folder in a store: only the networks that are wanted come to the local disk, each checked."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from rvc.base_models import (
    BASE_MODEL_MISSING,
    MANIFEST_NAME,
    BaseModelManifest,
    decode_manifest,
    open_base_model,
)
from rvc.contract import StoreSettings
from rvc.errors import ArtifactCorrupt, InvalidConfiguration, ObjectNotFound
from rvc.store import open_store
from rvc.store.local import write_atomically

_PRETRAINED = "rvc2-"


def for_training(sample_rate_hertz: int) -> Callable[[str], bool]:
    """Networks that a training at this rate may ask for."""
    rate = f"-{sample_rate_hertz // 1000}k-"
    return lambda name: not name.startswith(_PRETRAINED) or rate in name


def for_conversion(name: str) -> bool:
    """Networks that a conversion may ask for."""
    return not name.startswith(_PRETRAINED)


def fetch_stored(
    uri: str,
    settings: StoreSettings,
    folder: Path,
    wanted: Callable[[str], bool],
    stop: Callable[[], None],
    sleep: Callable[[float], None] = time.sleep,
) -> Path:
    """Bring the wanted networks of the folder at `uri` to the local `folder`, which is made; returns it.

    `stop` is called before each file and may raise; `sleep` is that of `open_store`. Raises
    `InvalidConfiguration` where no base models are, `ArtifactCorrupt` for a network that is not what its
    manifest says, and what the store raises.
    """
    store, prefix = open_store(uri.rstrip("/") + "/", settings, sleep=sleep)
    try:
        text = store.read_bytes(prefix + MANIFEST_NAME)
    except ObjectNotFound as error:
        raise InvalidConfiguration(
            f"{uri} holds no base models (no {MANIFEST_NAME}); bring them there with `rvc fetch-base --to "
            f"{uri}`",
            reason=BASE_MODEL_MISSING,
        ) from error
    manifest = decode_manifest(text, f"{uri.rstrip('/')}/{MANIFEST_NAME}")
    models = {name: entry for name, entry in manifest.models.items() if wanted(name)}
    folder.mkdir(parents=True, exist_ok=True)
    for entry in models.values():
        stop()
        try:
            store.download(prefix + entry.file, folder / entry.file)
        except ObjectNotFound as error:
            raise ArtifactCorrupt(
                f"{uri} names {entry.file} in its {MANIFEST_NAME} but does not have it; `rvc fetch-base "
                f"--to {uri}` puts it there"
            ) from error
    chosen = BaseModelManifest(format_version=manifest.format_version, models=models)
    write_atomically(folder / MANIFEST_NAME, msgspec.json.encode(chosen))
    for name in models:
        open_base_model(name, folder)
    return folder
