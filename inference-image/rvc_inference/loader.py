"""How a voice comes into memory: from its store, verified, onto the device."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from rvc.base_models import default_folder, read_manifest
from rvc.base_models.stored import fetch_stored, for_conversion
from rvc.contract import VoiceReference
from rvc.convert import Converter
from rvc.device import accelerator_errors, open_device
from rvc.store import open_store
from rvc.voice import Voice, fetch_voice
from rvc_inference.pauses import Sleep


def load_voice(reference: VoiceReference, folder: Path, sleep: Sleep) -> Converter:
    """Fetch the voice into `folder`, check its digests and load it.

    Raises `ArtifactCorrupt` when the voice is not the one that was asked for.
    """
    device = open_device(reference.device)
    store, prefix = open_store(reference.uri, reference.store, sleep=sleep)
    voice = fetch_voice(store, prefix, folder, reference.manifest_digest)
    with accelerator_errors():
        return Converter(voice, _base_models(reference, voice, folder.parent, sleep), device)


def _base_models(reference: VoiceReference, voice: Voice, scratch: Path, sleep: Sleep) -> Path:
    """Those of the voice, fetched once for all voices that want the same; a server loads one at a time."""
    if not reference.base_models_uri:
        return default_folder()
    wanted = for_conversion(voice.manifest.content_encoder.name)
    name = hashlib.sha256("\n".join([reference.base_models_uri, *sorted(wanted)]).encode()).hexdigest()[:16]
    folder = scratch / f"base-models-{name}"
    if read_manifest(folder) is None:
        try:
            fetch_stored(reference.base_models_uri, reference.store, folder, wanted, lambda: None, sleep)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    return folder
