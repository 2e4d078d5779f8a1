"""Bring a base-model folder into a store, where `rvc.base_models.stored` finds it.

Every network first, the manifest last. A network that a manifest there names is never written over by
another: pods may be reading it, so the new one gets a name of its own. Object stores have no way to replace a
manifest only if it is still the one that was read, so of two senders at once the later one's stands; what it
does not name is named again when the other one sends again, which costs only the manifest.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from rvc.base_models import (
    BASE_MODEL_MISSING,
    FORMAT_VERSION,
    MANIFEST_NAME,
    BaseModelFile,
    BaseModelManifest,
    decode_manifest,
    read_content,
    read_manifest,
)
from rvc.base_models.filling import filling
from rvc.contract import StoreSettings
from rvc.errors import InvalidConfiguration, ObjectNotFound
from rvc.store import Store, open_store

_DIGITS = 12
"""Of a sha256, in a file's name."""


def send_base_models(
    folder: Path, uri: str, settings: StoreSettings, report: Callable[[str], None]
) -> list[str]:
    """Make sure that the folder at `uri` holds all networks of the local `folder`; returns those that it had
    not. What else is there stays.

    `report` gets a line before each long step. Raises `InvalidConfiguration` for a folder without networks,
    `ArtifactCorrupt` for one that is not what its manifest says, here or there, and what the store raises.
    """
    store, prefix = open_store(uri.rstrip("/") + "/", settings)
    with filling(folder):
        manifest = read_manifest(folder)
        if manifest is None or not manifest.models:
            raise InvalidConfiguration(
                f"{folder} holds no base models to send; fill it with `rvc fetch-base` or `rvc add-base`",
                reason=BASE_MODEL_MISSING,
            )
        there = _manifest_there(store, prefix, uri)
        known = there.models if there is not None else {}
        sent, models = [], dict(known)
        for name, entry in manifest.models.items():
            read_content(folder, entry)
            models[name] = _named_apart(name, entry, known)
            key = prefix + models[name].file
            if store.holds(key, folder / entry.file):
                continue
            report(f"Sending {name}, {entry.size / 1e6:.0f} MB, to {uri}")
            store.upload(folder / entry.file, key)
            sent.append(name)
    if there is None or models != known:
        whole = BaseModelManifest(format_version=FORMAT_VERSION, models=models)
        store.write_bytes(
            prefix + MANIFEST_NAME, msgspec.json.format(msgspec.json.encode(whole), indent=2), overwrite=True
        )
    report(f"Base models are in {uri}")
    return sent


def _manifest_there(store: Store, prefix: str, uri: str) -> BaseModelManifest | None:
    try:
        text = store.read_bytes(prefix + MANIFEST_NAME)
    except ObjectNotFound:
        return None
    return decode_manifest(text, f"{uri.rstrip('/')}/{MANIFEST_NAME}")


def _named_apart(name: str, entry: BaseModelFile, known: dict[str, BaseModelFile]) -> BaseModelFile:
    """The entry, under a name that stands for nothing else there."""
    same = known.get(name)
    if same is not None and same.sha256 == entry.sha256:
        return same
    if any(other.file == entry.file for other in known.values()):
        return msgspec.structs.replace(entry, file=f"{name}-{entry.sha256[:_DIGITS]}.safetensors")
    return entry
