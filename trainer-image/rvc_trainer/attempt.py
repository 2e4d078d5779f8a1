"""One training attempt, in order: published already? fetch, go on from a checkpoint, train, publish, sweep.

Whatever an attempt leaves behind when it is killed, the next one can use: checkpoints are whole or absent, a
voice is published once and its manifest last, and an attempt at a published revision changes nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from rvc.contract import Metric, Progress, Stage, TrainingRequest, TrainingResult
from rvc.device import open_device
from rvc.errors import ObjectExists
from rvc.pod import event
from rvc.store import open_store
from rvc.train import train_voice
from rvc.voice import VoiceManifest, find_published, publish_voice
from rvc_trainer.checkpoints import StoreCheckpoints, sweep
from rvc_trainer.inputs import fetch_base_models, fetch_dataset, naming_the_dataset

log = logging.getLogger(__name__)


def run_attempt(
    request: TrainingRequest,
    scratch: Path,
    on_progress: Callable[[Progress], None],
    stop: Callable[[], bool],
) -> TrainingResult:
    """Train and publish the voice that `request` asks for; `scratch` is an empty folder of ours.

    Raises the errors of `rvc.errors`; `Terminated` when `stop` became true, after a checkpoint was saved.
    """
    # 1. An earlier attempt may have died in an upload, or after publishing, before it could say so.
    store, prefix = open_store(request.artifact_uri, request.store)
    store.sweep(prefix, older_than=time.time())
    all_checkpoints = f"{prefix}checkpoints/"
    published = find_published(store, prefix)
    if published is not None:
        result = result_of(request, published.manifest, published.digest, published.size_bytes)
        event(log, "this revision is published already", uri=request.artifact_uri, digest=published.digest)
        sweep(store, all_checkpoints)
        return result

    # 2. Without the accelerator that was asked for nothing else is worth the time.
    device = open_device(request.device)

    # 3. Recordings and base models come to local files.
    on_progress(Progress(stage=Stage.FETCHING))
    dataset = fetch_dataset(request, scratch / "dataset", stop)
    base_models = fetch_base_models(request, scratch / "base-models", stop)

    # 4. Train, from the last whole checkpoint if there is one. After memory ran out an attempt has a smaller
    #    batch, with which the checkpoints of a larger one are of no use.
    (scratch / "checkpoints").mkdir()
    batch = f"{all_checkpoints}batch-{request.training.batch_size}/"
    with naming_the_dataset(request, dataset):
        manifest = train_voice(
            dataset,
            scratch / "voice",
            scratch / "work",
            request.training,
            name=f"{request.voice.namespace}/{request.voice.name}",
            revision=request.revision,
            base_models=base_models,
            device=device,
            on_progress=on_progress,
            checkpoints=StoreCheckpoints(
                store, batch, scratch / "checkpoints", f"{request.artifact_uri}checkpoints/"
            ),
            stop=stop,
            consent=request.consent,
        )

    # 5. Publish: the files, each verified, then the manifest.
    digest, size = publish_voice(scratch / "voice", store, prefix)
    event(log, "voice published", uri=request.artifact_uri, digest=digest, bytes=size)

    # 6. Nobody goes on from the checkpoints of a published voice.
    sweep(store, all_checkpoints)
    on_progress(Progress(stage=Stage.DONE, progress_percentage=100))
    return result_of(request, manifest, digest, size)


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
