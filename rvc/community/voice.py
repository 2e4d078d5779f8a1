"""A voice of the community as a voice folder of ours, and the other way.

Nothing is lost on the way in: weights keep their bits, the index its bytes (and with them the number of cells
that a query looks into, so that the voice sounds as its users know it). What the file does not say stays
unsaid: which recordings, which settings. Going out, a voice becomes exactly the files that RVC programs
write.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec
import torch
from safetensors.torch import save

from rvc import __version__
from rvc.community.index_file import community_index, read_index
from rvc.community.inference_model import (
    MOST_BYTES,
    InferenceModel,
    inference_model,
    write_inference_model,
)
from rvc.community.training_checkpoint import (
    MOST_BYTES as MOST_CHECKPOINT_BYTES,
)
from rvc.community.training_checkpoint import extract_voice, is_training_checkpoint
from rvc.community.weights import as_half, plain_weights, read_pth
from rvc.contract import Architecture, Consent, ContentEncoder, PitchMethod
from rvc.digest import sha256_of
from rvc.errors import ArtifactCorrupt, InvalidConfiguration
from rvc.rvc2.geometry import Geometry
from rvc.rvc2.state import check_state, shapes_of, state_shapes
from rvc.store.local import write_atomically
from rvc.tiles import MEDIAN_F0, synthesizer_tensors, voice_tensors
from rvc.voice import (
    INDEX_NAME,
    TENSORS_NAME,
    EncoderReference,
    Voice,
    VoiceManifest,
    open_voice,
    write_manifest,
)

CLAIM_PREFIX = "claimed."
"""Of what an imported file says of itself, among the `origin` of a manifest."""
_INFO = f"{CLAIM_PREFIX}info"
_ENCODERS = {256: ContentEncoder.CONTENT_VEC_256, 768: ContentEncoder.CONTENT_VEC_768}
_UNSUITED = re.compile(r"[^\w.()+-]+")
_LONGEST_NAME = 100


def read_model(path: Path) -> InferenceModel:
    """The voice in a `.pth`: one that was passed on, or the one in a training checkpoint (`G_*.pth`).

    Raises ObjectNotFound; ArtifactCorrupt for what is no voice; InvalidConfiguration for voices of a kind
    that this release cannot speak.
    """
    content = read_pth(path, MOST_CHECKPOINT_BYTES)
    size = path.stat().st_size
    if is_training_checkpoint(content):
        return extract_voice(content, size, str(path))
    if size > MOST_BYTES:
        raise ArtifactCorrupt(f"{path} has {size} bytes; a voice has at most {MOST_BYTES}")
    return inference_model(content, size, str(path))


def import_voice(
    model: Path,
    index: Path | None,
    folder: Path,
    *,
    name: str,
    revision: str = "",
    consent: Consent | None = None,
    origin: Mapping[str, str] | None = None,
) -> VoiceManifest:
    """Make a voice folder (new or empty) of a `.pth` and its `.index`; what is not said stays unknown.

    Args:
        model: the model file.
        index: the retrieval index; without one nothing is retrieved.
        folder: where the voice goes.
        name: of the voice.
        revision: of the VoiceModel, if there is one.
        consent: of the speaker.
        origin: what else the manifest is to say of where the files come from.

    Raises as `read_model` does, and InvalidConfiguration for a folder that holds files.
    """
    read = read_model(model)
    sources = {"model": model.name, "modelSha256": sha256_of(model)}
    index_content = None
    if index is not None:
        index_content = fitting_index(index, read.geometry)
        sources |= {"index": index.name, "indexSha256": hashlib.sha256(index_content).hexdigest()}
    claims = {f"{CLAIM_PREFIX}{claim}": text for claim, text in read.claims.items()}
    manifest = described(read, name, origin=sources | dict(origin or {}) | claims)
    return write_voice(
        folder,
        read,
        index_content,
        msgspec.structs.replace(manifest, revision=revision, consent=consent or Consent()),
    )


def described(model: InferenceModel, name: str, origin: Mapping[str, str]) -> VoiceManifest:
    """The manifest of a voice that was not learnt here."""
    geometry = model.geometry
    dimension = geometry.content_dimension
    return VoiceManifest(
        name=name,
        revision="",
        architecture=Architecture.RVC2,
        sample_rate_hertz=geometry.sample_rate_hertz,
        # The files say neither which copy of ContentVec nor which way to find F0 was used, and depend on
        # neither: conversion takes what there is.
        content_encoder=EncoderReference(name=_ENCODERS[dimension], digest=None, dimension=dimension),
        pitch_method=PitchMethod.AUTO,
        hyperparameters=geometry.to_dict(),
        speakers=geometry.speakers,
        speaker_names=model.speaker_names,
        parameters=None,
        dataset=None,
        origin=dict(origin) | ({_INFO: model.info} if model.info else {}),
        software={"rvc-operator": __version__, "torch": importlib.metadata.version("torch")},
        statistics={} if model.median_f0_hertz is None else {MEDIAN_F0: model.median_f0_hertz},
    )


def write_voice(
    folder: Path, model: InferenceModel, index: bytes | None, manifest: VoiceManifest
) -> VoiceManifest:
    """Fill a folder (new or empty) with a voice; returns the manifest with its files."""
    if folder.is_dir() and any(folder.iterdir()):
        raise InvalidConfiguration(f"{folder} holds files already; name a new or empty folder for the voice")
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / TENSORS_NAME, save(voice_tensors(model.tensors, None, None)))
    if index is not None:
        write_atomically(folder / INDEX_NAME, index)
    return write_manifest(folder, manifest)


def open_any_voice(path: Path, index: Path | None, scratch: Path) -> Voice:
    """The voice in a folder of ours, or in a `.pth` (with its `.index`) brought into a folder in `scratch`.

    Raises as `open_voice` and `import_voice` do; InvalidConfiguration for an index beside a voice folder.
    """
    if not path.is_file():
        if index is not None:
            raise InvalidConfiguration(
                f"an index goes with a model file (.pth); the voice folder {path} has its own"
            )
        return open_voice(path)
    folder = Path(tempfile.mkdtemp(prefix="voice-", dir=scratch))
    import_voice(path, index, folder, name=path.stem)
    return open_voice(folder)


def fitting_index(path: Path, geometry: Geometry) -> bytes:
    """Content of an index file for a voice of these sizes.

    Raises ObjectNotFound and ArtifactCorrupt; InvalidConfiguration for the index of a voice of another kind.
    """
    index = read_index(path)
    if index.dimension != geometry.content_dimension:
        raise InvalidConfiguration(
            f"{path} holds content of {index.dimension} dimensions, the voice reads "
            f"{geometry.content_dimension} ({geometry.version}); it belongs to another voice"
        )
    return index.content


def model_of(voice: Voice) -> InferenceModel:
    """The community's view of a voice folder; raises InvalidConfiguration for other architectures."""
    return _model_in(voice.manifest, voice.tensors())


def export_voice(voice: Voice, folder: Path, model_name: str = "") -> list[Path]:
    """Write a voice as RVC programs do, `<name>.pth` and `added_IVF<n>_Flat_nprobe_1_<name>_<v>.index`.

    Args:
        voice: of the architecture RVC2; InvalidConfiguration for another.
        folder: where the files go, made if need be; files of the same names are replaced.
        model_name: in the place of the voice's name.

    Returns their paths, the model's first.
    """
    model = model_of(voice)
    folder.mkdir(parents=True, exist_ok=True)
    index = voice.folder / INDEX_NAME if INDEX_NAME in voice.manifest.files else None
    return _write_files(model, index, folder, file_name(model_name or voice.manifest.name))


def write_community_files(folder: Path, manifest: VoiceManifest) -> list[Path]:
    """Put the community's files beside the weights and the index of a voice folder that is being made.

    To be called before `write_manifest`, which lists them. `manifest` is the voice's, without files.
    Returns their paths.
    """
    model = _model_in(manifest, Voice(folder, manifest, "", 0).tensors())
    index = folder / INDEX_NAME
    return _write_files(model, index if index.exists() else None, folder, file_name(manifest.name))


def file_name(name: str) -> str:
    """The last part of a voice's name, such as `ann` of `demo/ann`, as a file may be called."""
    plain = _UNSUITED.sub("_", name.rpartition("/")[2]).lstrip(".")
    return plain[:_LONGEST_NAME] or "voice"


def _write_files(model: InferenceModel, index: Path | None, folder: Path, name: str) -> list[Path]:
    paths = [folder / f"{name}.pth"]
    write_inference_model(model, paths[0])
    if index is not None:
        index_name, content = community_index(index.read_bytes(), name, model.geometry.version)
        write_atomically(folder / index_name, content)
        paths.append(folder / index_name)
    return paths


def _model_in(manifest: VoiceManifest, tensors: Mapping[str, torch.Tensor]) -> InferenceModel:
    if manifest.architecture is not Architecture.RVC2:
        raise InvalidConfiguration(
            f"the voice {manifest.name} has the architecture {manifest.architecture}, for which RVC programs "
            f"have no file; only {Architecture.RVC2} voices can be exported and merged",
            reason="VoiceUnsupported",
        )
    geometry = Geometry.from_dict(manifest.hyperparameters)
    shown = f"the voice {manifest.name}"
    expected = state_shapes(geometry)
    stored = synthesizer_tensors(tensors)
    weights = plain_weights(stored, sum(tensor.nbytes for tensor in stored.values()), shown)
    check_state(expected, shapes_of(weights), shown)
    epochs = "" if manifest.parameters is None else f"{manifest.parameters.epochs}epoch"
    return InferenceModel(
        geometry=geometry,
        tensors=as_half({name: weights[name] for name in expected}, shown),
        info=manifest.origin.get(_INFO, epochs),
        speaker_names=manifest.speaker_names,
        median_f0_hertz=manifest.statistics.get(MEDIAN_F0),
    )
