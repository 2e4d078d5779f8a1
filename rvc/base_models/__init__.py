"""Pretrained networks that voices build on: a folder of safetensors files and a `manifest.json`.

The manifest is written last and every file is checked against it before use, so a folder that was filled
half, or damaged since, is an error and never a strange voice. `rvc.base_models.fetch` fills the folder from
the network, `rvc.base_models.add` with files that people already have.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal

import msgspec
import torch
from msgspec import Struct
from safetensors.torch import load as load_safetensors

from rvc.contract import BASE_MODELS_FOLDER_VARIABLE
from rvc.errors import ArtifactCorrupt, InvalidConfiguration

MANIFEST_NAME = "manifest.json"
FORMAT_VERSION = 1
BASE_MODEL_MISSING = "BaseModelMissing"
"""Reason of the `InvalidConfiguration` for a network that the folder does not have."""


class BaseModelName(StrEnum):
    """Networks that say what is in a recording; `pretrained_name` names those that training starts from."""

    FCPE = "fcpe"
    RMVPE = "rmvpe"
    CREPE = "crepe"
    CREPE_TINY = "crepe-tiny"
    CONTENT_VEC = "contentvec"
    """Weights of `rvc.content.hubert`; with their final projection they serve v1 and v2."""
    WHISPER_BASE = "whisper-base-encoder"
    SPEAKER_ENCODER = "speaker-encoder"
    """Says who speaks, for figures of quality."""


PRETRAINED_VERSIONS: tuple[Literal["v1", "v2"], ...] = ("v1", "v2")
PRETRAINED_RATES_HERTZ = (32000, 40000, 48000)


class PretrainedPart(StrEnum):
    """The two networks that `RVC2` trains against each other."""

    GENERATOR = "generator"
    DISCRIMINATOR = "discriminator"


def pretrained_name(version: str, sample_rate_hertz: int, f0: bool, part: PretrainedPart) -> str:
    """Name of an RVC base model (`f0G40k.pth` and its kin); the folder keeps its official tensor names."""
    return f"rvc2-{version}-{'f0' if f0 else 'nof0'}-{sample_rate_hertz // 1000}k-{part}"


BASE_MODEL_NAMES: tuple[str, ...] = (
    *(name.value for name in BaseModelName),
    *(
        pretrained_name(version, rate, f0, part)
        for version in PRETRAINED_VERSIONS
        for f0 in (True, False)
        for rate in PRETRAINED_RATES_HERTZ
        for part in PretrainedPart
    ),
)
"""Everything that a folder can hold."""


class BaseModelFile(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """One entry of the manifest."""

    file: str
    size: int
    sha256: str
    source: str
    """Package or file, version and licence that the weights come from."""


class BaseModelManifest(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """`manifest.json` of a base-model folder."""

    format_version: int
    models: dict[str, BaseModelFile]


@dataclass(frozen=True)
class BaseModel:
    """Verified weights of one network."""

    digest: str
    """`sha256:` and 64 hex digits, of the safetensors file."""
    tensors: dict[str, torch.Tensor]


def default_folder() -> Path:
    """`$RVC_BASE_MODELS`, else `~/.cache/rvc-operator/base-models`."""
    named = os.environ.get(BASE_MODELS_FOLDER_VARIABLE)
    return Path(named) if named else Path.home() / ".cache" / "rvc-operator" / "base-models"


def read_manifest(folder: Path) -> BaseModelManifest | None:
    """The folder's manifest, None when there is none; raises `ArtifactCorrupt` if it cannot be read."""
    try:
        text = (folder / MANIFEST_NAME).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return decode_manifest(text, str(folder / MANIFEST_NAME))


def decode_manifest(text: bytes, where: str) -> BaseModelManifest:
    """The manifest in a text that was read from `where`; raises `ArtifactCorrupt`."""
    try:
        manifest = msgspec.json.decode(text, type=BaseModelManifest)
    except msgspec.MsgspecError as error:
        raise ArtifactCorrupt(
            f"{where} is not a base-model manifest ({error}); remove the folder and run `rvc fetch-base` "
            "again"
        ) from error
    if manifest.format_version != FORMAT_VERSION:
        raise ArtifactCorrupt(
            f"{where} has format version {manifest.format_version}, this program reads {FORMAT_VERSION}; run "
            "the `rvc fetch-base` of the same release"
        )
    if any("/" in entry.file or entry.file.startswith(".") for entry in manifest.models.values()):
        raise ArtifactCorrupt(f"{where} names a file that is no plain name; run `rvc fetch-base` again")
    return manifest


def has_base_model(name: str, folder: Path | None = None) -> bool:
    """Whether the folder (None: the default one) offers this network."""
    manifest = read_manifest(folder or default_folder())
    return manifest is not None and name in manifest.models


def open_base_model(name: str, folder: Path | None = None) -> BaseModel:
    """Read one network's weights from the folder (None: the default one).

    Raises `InvalidConfiguration` when the folder does not have it, `ArtifactCorrupt` when the file is not
    what the manifest says.
    """
    folder = folder or default_folder()
    manifest = read_manifest(folder)
    entry = manifest.models.get(name) if manifest is not None else None
    if entry is None:
        raise InvalidConfiguration(
            f"the base model {name} is not in {folder}; run `rvc fetch-base {folder} --only {name}` where it "
            "can be downloaded, add a file that you have with `rvc add-base`, or set "
            f"{BASE_MODELS_FOLDER_VARIABLE} to a folder that has it",
            reason=BASE_MODEL_MISSING,
        )
    return BaseModel(digest=f"sha256:{entry.sha256}", tensors=load_safetensors(read_content(folder, entry)))


def read_content(folder: Path, entry: BaseModelFile) -> bytes:
    """The file of one network; raises `ArtifactCorrupt` when it is not what the manifest says."""
    path = folder / entry.file
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise ArtifactCorrupt(
            f"{path} is named by the manifest but is missing; fetch or add it again"
        ) from error
    if len(content) != entry.size or hashlib.sha256(content).hexdigest() != entry.sha256:
        raise ArtifactCorrupt(
            f"{path} is not the file that its manifest describes ({len(content)} bytes of {entry.size}); "
            "remove it, and fetch or add it again"
        )
    return content
