"""One attempt at a voice, in order: published already? learn it or bring it, publish, sweep.

Whatever an attempt leaves behind when it is killed, the next one can use: checkpoints are whole or absent, a
voice is published once and its manifest last, and an attempt at a published revision changes nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from rvc.community.voice import import_voice
from rvc.contract import ImportSource, Metric, Progress, Stage, TrainingRequest, TrainingResult
from rvc.device import open_device
from rvc.errors import ObjectExists
from rvc.parallel import joined
from rvc.pod import event
from rvc.store import Store, open_store
from rvc.train import help_to_train, train_voice
from rvc.voice import VoiceManifest, find_published, publish_voice
from rvc_trainer.checkpoints import StoreCheckpoints, sweep
from rvc_trainer.features import StoreFeatures
from rvc_trainer.inputs import fetch_base_models, fetch_dataset, fetch_import, naming
from rvc_trainer.pauses import Pauses

log = logging.getLogger(__name__)

RENDEZVOUS = "rendezvous"
"""File in the scratch folder by which the processes of an attempt meet."""


def run_attempt(
    request: TrainingRequest,
    scratch: Path,
    on_progress: Callable[[Progress], None],
    stop: threading.Event,
) -> TrainingResult:
    """Train or import, and publish the voice that `request` asks for; `scratch` is an empty folder of ours.

    Raises the errors of `rvc.errors`; `Terminated` when `stop` was set, after a checkpoint was saved.
    """
    pauses = Pauses(stop)

    # 1. An earlier attempt may have died in an upload, or after publishing, before it could say so.
    store, prefix = open_store(request.artifact_uri, request.store, sleep=pauses.sleep)
    store.sweep(prefix, older_than=time.time())
    all_checkpoints = f"{prefix}checkpoints/"
    published = find_published(store, prefix)
    if published is not None:
        result = result_of(request, published.manifest, published.digest, published.size_bytes)
        event(log, "this revision is published already", uri=request.artifact_uri, digest=published.digest)
        sweep(store, all_checkpoints)
        return result

    # 2. The voice comes into a local folder: learnt from recordings, or from the files of another program.
    voice = scratch / "voice"
    if request.import_ is not None:
        manifest = _bring(request, request.import_, voice, scratch, on_progress, pauses)
    else:
        saving, _ = open_store(request.artifact_uri, request.store, sleep=pauses.sleep_to_save)
        with _checkpoints(request, saving, all_checkpoints, scratch / "checkpoints") as checkpoints:
            features = StoreFeatures(saving, f"{all_checkpoints}features/", scratch)
            manifest = _learn(request, voice, scratch, checkpoints, features, on_progress, pauses)

    # 3. Publish: the files, each verified, then the manifest.
    digest, size = publish_voice(voice, store, prefix)
    event(log, "voice published", uri=request.artifact_uri, digest=digest, bytes=size)

    # 4. Nobody goes on from the checkpoints of a published voice, or needs the features it was learnt from.
    sweep(store, all_checkpoints)
    on_progress(Progress(stage=Stage.DONE, progress_percentage=100))
    return result_of(request, manifest, digest, size)


def _learn(
    request: TrainingRequest,
    voice: Path,
    scratch: Path,
    checkpoints: StoreCheckpoints,
    features: StoreFeatures,
    on_progress: Callable[[Progress], None],
    pauses: Pauses,
) -> VoiceManifest:
    # 1. Without the accelerator that was asked for nothing else is worth the time.
    device = open_device(request.device)

    # 2. Recordings and base models come to local files.
    on_progress(Progress(stage=Stage.FETCHING))
    dataset = fetch_dataset(request, scratch / "dataset", pauses)
    base_models = fetch_base_models(request, scratch / "base-models", pauses)

    # 3. Train, from the last whole checkpoint if there is one; with several accelerators, together.
    with naming({dataset: request.dataset_uri}), joined(device, scratch / RENDEZVOUS) as parallel:
        return train_voice(
            dataset,
            voice,
            scratch / "work",
            request.training,
            name=_name(request),
            revision=request.revision,
            base_models=base_models,
            device=device,
            on_progress=on_progress,
            checkpoints=checkpoints,
            stop=pauses.stopped,
            consent=request.consent,
            keeper=features,
            parallel=parallel,
        )


def help_attempt(request: TrainingRequest, scratch: Path) -> None:
    """What the processes of the other accelerators do; the leading one is in `run_attempt` with this folder.

    Raises the errors of `rvc.errors`.
    """
    device = open_device(request.device)
    store, prefix = open_store(request.artifact_uri, request.store)
    uri = request.training.base_models_uri
    # Joined once the leading process has fetched everything.
    with joined(device, scratch / RENDEZVOUS) as parallel:
        help_to_train(
            scratch / "dataset",
            scratch / "work",
            request.training,
            base_models=scratch / "base-models" if uri else None,
            device=device,
            checkpoints=StoreCheckpoints(store, prefix, scratch, request.artifact_uri),
            parallel=parallel,
        )


def _bring(
    request: TrainingRequest,
    source: ImportSource,
    voice: Path,
    scratch: Path,
    on_progress: Callable[[Progress], None],
    pauses: Pauses,
) -> VoiceManifest:
    on_progress(Progress(stage=Stage.FETCHING))
    files = fetch_import(source, request.store, scratch / "import", pauses)
    pauses.go_on(f"importing {source.model_uri}")
    on_progress(Progress(stage=Stage.PREPARING, progress_percentage=50))
    uris = (source.model_uri, source.index_uri)
    with naming(dict(zip(files.paths, uris, strict=False))):
        return import_voice(
            files.model,
            files.index,
            voice,
            name=_name(request),
            revision=request.revision,
            consent=request.consent,
            origin={"modelUri": source.model_uri}
            | ({"indexUri": source.index_uri} if source.index_uri else {}),
        )


def _checkpoints(request: TrainingRequest, store: Store, prefix: str, scratch: Path) -> StoreCheckpoints:
    scratch.mkdir()
    return StoreCheckpoints(store, prefix, scratch, f"{request.artifact_uri}checkpoints/")


def _name(request: TrainingRequest) -> str:
    return f"{request.voice.namespace}/{request.voice.name}"


def result_of(request: TrainingRequest, manifest: VoiceManifest, digest: str, size: int) -> TrainingResult:
    """What the operator is told of a published voice; raises `ObjectExists` for one of another revision."""
    if manifest.revision != request.revision:
        raise ObjectExists(
            f"{request.artifact_uri} holds revision {manifest.revision} of {manifest.name}, not "
            f"{request.revision}; remove it or choose another spec.storage.uri"
        )
    return TrainingResult(
        artifact_uri=request.artifact_uri,
        manifest_digest=digest,
        size_bytes=size,
        metrics=tuple(Metric(name, f"{value:.6g}") for name, value in manifest.metrics.items()),
    )
