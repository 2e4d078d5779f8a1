"""How a voice comes into memory: from its store, verified, onto the device."""

from __future__ import annotations

from pathlib import Path

from rvc.base_models import default_folder
from rvc.contract import VoiceReference
from rvc.convert import Converter
from rvc.device import accelerator_errors, open_device
from rvc.store import open_store
from rvc.voice import fetch_voice


def load_voice(reference: VoiceReference, folder: Path) -> Converter:
    """Fetch the voice into `folder`, check its digests and load it.

    Raises `ArtifactCorrupt` when the voice is not the one that was asked for.
    """
    device = open_device(reference.device)
    store, prefix = open_store(reference.uri, reference.store)
    voice = fetch_voice(store, prefix, folder, reference.manifest_digest)
    with accelerator_errors():
        return Converter(voice, default_folder(), device)
