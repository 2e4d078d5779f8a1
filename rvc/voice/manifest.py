"""`manifest.json` of a voice: its shape, its text, its digest."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from rvc.contract import Architecture, Consent, ContentEncoder, PitchMethod, TrainingSettings
from rvc.errors import ArtifactCorrupt

MANIFEST_NAME = "manifest.json"
FORMAT_VERSION = 1

Digest = Annotated[str, Meta(pattern="^sha256:[0-9a-f]{64}$")]


class _Json(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    pass


class FileEntry(_Json, frozen=True):
    """One file of the voice."""

    size: Annotated[int, Meta(ge=0)]
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class EncoderReference(_Json, frozen=True):
    """The content encoder whose features the voice was trained on; another one is refused."""

    name: ContentEncoder
    digest: Digest | None
    """None for a voice from elsewhere whose file does not tell."""
    dimension: Annotated[int, Meta(ge=1)]


class DatasetSummary(_Json, frozen=True):
    """What the voice learnt from."""

    digest: str
    seconds: float
    clips: int


class VoiceManifest(_Json, frozen=True, kw_only=True):
    """Everything that is known of a voice beside its weights."""

    format_version: int = FORMAT_VERSION
    name: str
    revision: str
    architecture: Architecture
    sample_rate_hertz: Annotated[int, Meta(ge=8000, le=192000)]
    content_encoder: EncoderReference
    pitch_method: PitchMethod
    hyperparameters: dict[str, Any] = {}
    """Sizes of the network that its tensors do not tell."""
    speakers: Annotated[int, Meta(ge=1)] = 1
    speaker_names: tuple[str, ...] = ()
    parameters: TrainingSettings | None
    """How it was trained; None for a voice that was trained elsewhere."""
    metrics: dict[str, float] = {}
    dataset: DatasetSummary | None
    """None for a voice that was trained elsewhere."""
    origin: dict[str, str] = {}
    """Of a voice that was brought here: names and digests of the files, and what they said of
    themselves."""
    software: dict[str, str] = {}
    """Versions by name of the package."""
    consent: Consent = Consent()
    statistics: dict[str, float] = {}
    """Small scalars of the architecture."""
    files: dict[str, FileEntry] = {}
    """By plain file name; filled by `write_manifest`."""


class _Versioned(Struct, rename="camel"):
    format_version: int


def encode_manifest(manifest: VoiceManifest) -> bytes:
    """Text of a manifest, for people too."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"


def decode_manifest(text: bytes, where: str) -> VoiceManifest:
    """The manifest in a text that was read from `where`; raises `ArtifactCorrupt`."""
    try:
        version = msgspec.json.decode(text, type=_Versioned).format_version
        if version != FORMAT_VERSION:
            raise ArtifactCorrupt(
                f"{where} has format version {version}, this release reads {FORMAT_VERSION}; use the "
                "release that trained the voice, or train it again"
            )
        manifest = msgspec.json.decode(text, type=VoiceManifest)
    except msgspec.MsgspecError as error:
        raise ArtifactCorrupt(
            f"{where} is no manifest of a voice ({error}); train the voice again"
        ) from error
    for name in manifest.files:
        if not is_plain_name(name):
            raise ArtifactCorrupt(
                f"{where} names the file {name!r}, which is no plain name; train the voice again"
            )
    return manifest


def is_plain_name(name: str) -> bool:
    """Whether a file of that name lies in the folder itself, is not hidden and is not the manifest."""
    return not name.startswith(".") and not set(name) & set("/\\\0") and name not in ("", MANIFEST_NAME)


def digest_of(text: bytes) -> str:
    """`sha256:` and 64 hex digits."""
    return "sha256:" + hashlib.sha256(text).hexdigest()
