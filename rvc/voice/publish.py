"""Voices in a store: files first, the manifest last, and a published voice stays what it is.

Whoever finds the manifest finds the whole voice. An attempt that dies before it leaves files that the next
one replaces; an attempt that comes after finds the manifest and changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rvc.errors import ArtifactCorrupt, ObjectExists, ObjectNotFound, StoreUnavailable
from rvc.store import Store
from rvc.store.local import write_atomically
from rvc.voice.folder import SPOKEN_WITH, Voice, open_voice
from rvc.voice.manifest import MANIFEST_NAME, VoiceManifest, decode_manifest, digest_of


@dataclass(frozen=True)
class PublishedVoice:
    """What the manifest in a store says."""

    manifest: VoiceManifest
    digest: str
    """`sha256:...` of the manifest's bytes."""
    size_bytes: int
    """Of all files, manifest included."""


def find_published(store: Store, key_prefix: str) -> PublishedVoice | None:
    """The voice below a prefix (ends in `/`), None if none is published; raises `ArtifactCorrupt`."""
    key = key_prefix + MANIFEST_NAME
    try:
        text = store.read_bytes(key)
    except ObjectNotFound:
        return None
    return _published(text, key)


def publish_voice(folder: Path, store: Store, key_prefix: str) -> tuple[str, int]:
    """Publish a voice folder below a prefix (ends in `/`); the manifest's digest and the size in bytes.

    The same voice again is success without a write. Raises `ArtifactCorrupt` for a damaged folder,
    `ObjectExists` where another voice is published, `StoreUnavailable` where another attempt, whose node was
    taken for lost, writes over the files at the same time.
    """
    voice = open_voice(folder)
    uploaded = []
    for name in voice.manifest.files:
        if _is_published(voice, store, key_prefix):
            return voice.digest, voice.size_bytes
        uploaded.append(store.upload(folder / name, key_prefix + name))
    for info in uploaded:
        if store.stat(info.key) != info:
            raise StoreUnavailable(
                f"somebody else wrote {info.key} while the voice was published; it is tried again"
            )
    store.upload(folder / MANIFEST_NAME, key_prefix + MANIFEST_NAME, overwrite=False)
    return voice.digest, voice.size_bytes


def fetch_voice(store: Store, key_prefix: str, folder: Path, expected_digest: str | None) -> Voice:
    """Bring what a published voice (its prefix ends in `/`) speaks with into a local folder, made if need be.

    A folder that holds it already is opened as it is. Raises `ObjectNotFound` when no voice is published
    there, `ArtifactCorrupt` when it is not the expected one or is damaged.
    """
    key = key_prefix + MANIFEST_NAME
    try:
        text = store.read_bytes(key)
    except ObjectNotFound as error:
        raise ObjectNotFound(f"no voice is published at {key_prefix} ({error})") from error
    digest = digest_of(text)
    if expected_digest is not None and digest != expected_digest:
        raise ArtifactCorrupt(f"{key} is {digest}, expected {expected_digest}; train the voice again")
    try:
        return open_voice(folder, digest, SPOKEN_WITH)
    except (ObjectNotFound, ArtifactCorrupt):
        _download(store, key_prefix, folder, text)
    return open_voice(folder, digest, SPOKEN_WITH)


def _published(text: bytes, key: str) -> PublishedVoice:
    manifest = decode_manifest(text, key)
    size = len(text) + sum(entry.size for entry in manifest.files.values())
    return PublishedVoice(manifest=manifest, digest=digest_of(text), size_bytes=size)


def _is_published(voice: Voice, store: Store, key_prefix: str) -> bool:
    """Whether this very voice is there; asked before every file, so that no other voice is overwritten."""
    published = find_published(store, key_prefix)
    if published is not None and published.digest != voice.digest:
        raise ObjectExists(
            f"another voice ({published.digest}) is published at {key_prefix} and is never overwritten; "
            "choose another place or remove it first"
        )
    return published is not None


def _download(store: Store, key_prefix: str, folder: Path, text: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    files = decode_manifest(text, key_prefix + MANIFEST_NAME).files
    for name in (name for name in SPOKEN_WITH if name in files):
        try:
            store.download(key_prefix + name, folder / name)
        except ObjectNotFound as error:
            raise ArtifactCorrupt(
                f"{key_prefix}{name} is named by the manifest but is not there; train the voice again"
            ) from error
    write_atomically(folder / MANIFEST_NAME, text)
