"""A base-model folder in a store: only the networks that are wanted come to the local disk, each checked."""

from __future__ import annotations

import time
from collections.abc import Callable, Container
from pathlib import Path

import msgspec

from rvc.base_models import (
    BASE_MODEL_MISSING,
    MANIFEST_NAME,
    BaseModelManifest,
    BaseModelName,
    PretrainedPart,
    decode_manifest,
    open_base_model,
    pretrained_name,
)
from rvc.contract import Architecture, ContentEncoder, PitchMethod, StoreSettings, TrainingSettings
from rvc.errors import ArtifactCorrupt, InvalidConfiguration, ObjectNotFound
from rvc.store import open_store
from rvc.store.local import write_atomically

_OF_ENCODERS = {
    ContentEncoder.CONTENT_VEC_768: BaseModelName.CONTENT_VEC,
    ContentEncoder.CONTENT_VEC_256: BaseModelName.CONTENT_VEC,
    ContentEncoder.WHISPER_BASE: BaseModelName.WHISPER_BASE,
}
_OF_PITCH_METHODS = {
    PitchMethod.RMVPE: BaseModelName.RMVPE,
    PitchMethod.FCPE: BaseModelName.FCPE,
    PitchMethod.CREPE: BaseModelName.CREPE,
    PitchMethod.CREPE_TINY: BaseModelName.CREPE_TINY,
}
_OF_AUTOMATIC_PITCH = (BaseModelName.RMVPE, BaseModelName.FCPE)


def for_training(settings: TrainingSettings) -> frozenset[str]:
    """Networks that a training may ask for, with the one that tells how good the voice is."""
    encoder, method = settings.content_encoder, settings.pitch_method
    pretrained: list[str] = []
    if settings.architecture == Architecture.RVC2:
        encoder = ContentEncoder.CONTENT_VEC_768 if encoder == ContentEncoder.AUTO else encoder
        version = "v1" if encoder == ContentEncoder.CONTENT_VEC_256 else "v2"
        rate = settings.sample_rate_hertz
        pretrained = [pretrained_name(version, rate, True, part) for part in PretrainedPart]
    pitch = _OF_AUTOMATIC_PITCH if method == PitchMethod.AUTO else (_OF_PITCH_METHODS.get(method),)
    names = [BaseModelName.SPEAKER_ENCODER, _OF_ENCODERS.get(encoder), *pitch, *pretrained]
    return frozenset(filter(None, names))


def for_conversion(encoder: ContentEncoder) -> frozenset[str]:
    """Networks that conversions with a voice of this encoder may ask for: they may name any pitch method."""
    return frozenset(filter(None, [_OF_ENCODERS.get(encoder), *_OF_PITCH_METHODS.values()]))


def fetch_stored(
    uri: str,
    settings: StoreSettings,
    folder: Path,
    wanted: Container[str],
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
    models = {name: entry for name, entry in manifest.models.items() if name in wanted}
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
