"""A voice: a folder of `voice.safetensors`, `index.faiss` and a `manifest.json` that says what they are.

The manifest is the voice: written last, never overwritten once published, and its sha256 names the voice
exactly. Nothing of a voice is used before all its files have the sizes and digests that the manifest
states.
"""

from rvc.voice.folder import INDEX_NAME, TENSORS_NAME, Voice, open_voice, write_manifest
from rvc.voice.manifest import (
    MANIFEST_NAME,
    DatasetSummary,
    EncoderReference,
    FileEntry,
    VoiceManifest,
    decode_manifest,
    digest_of,
)
from rvc.voice.publish import PublishedVoice, fetch_voice, find_published, publish_voice

__all__ = [
    "INDEX_NAME",
    "MANIFEST_NAME",
    "TENSORS_NAME",
    "DatasetSummary",
    "EncoderReference",
    "FileEntry",
    "PublishedVoice",
    "Voice",
    "VoiceManifest",
    "decode_manifest",
    "digest_of",
    "fetch_voice",
    "find_published",
    "open_voice",
    "publish_voice",
    "write_manifest",
]
