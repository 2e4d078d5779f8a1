"""What makes two trainings the same: only then may one go on from the other's checkpoint."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import msgspec

from rvc.base_models import PretrainedPart, default_folder, pretrained_name, read_manifest
from rvc.contract import Architecture, TrainingSettings
from rvc.dataset.features import Extractor


def training_identity(
    dataset_digest: str, extractor: Extractor, settings: TrainingSettings, base_models: Path | None
) -> str:
    """Digest of all that decides what is learnt: `sha256:` and 64 hex digits.

    When checkpoints are saved, whence base models come, how memory is saved and who looks on does not.
    """
    decisive = msgspec.structs.replace(
        settings,
        save_every_epochs=1,
        base_models_uri="",
        batch_parts=1,
        gradient_checkpointing=False,
        tensor_board=False,
    )
    parts = [
        dataset_digest,
        extractor.content.digest,
        extractor.pitch.name,
        _pretrained(extractor.content.dimension, settings, base_models),
        msgspec.to_builtins(decisive),
    ]
    return f"sha256:{hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()}"


def _pretrained(dimension: int, settings: TrainingSettings, base_models: Path | None) -> dict[str, str]:
    """Digests of the networks that training starts from, of those that the folder has."""
    manifest = read_manifest(base_models or default_folder())
    if settings.architecture != Architecture.RVC2 or manifest is None:
        return {}
    version = "v1" if dimension == 256 else "v2"
    names = [pretrained_name(version, settings.sample_rate_hertz, True, part) for part in PretrainedPart]
    return {name: manifest.models[name].sha256 for name in names if name in manifest.models}
