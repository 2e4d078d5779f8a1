"""Train a voice from a folder of recordings.

    1. find the recordings                                        rvc.dataset
    2. extract their features, cut out pauses, join them          rvc.dataset.features
    3. train, epoch by epoch, with checkpoints                    rvc.training.epochs
    4. index the content for retrieval                            rvc.retrieval
    5. let the finished voice speak a part of the recordings      rvc.evaluation
    6. write the voice's folder, the manifest last                rvc.voice

An attempt that is stopped or dies is continued by the next one: features are found in the work folder, and
training goes on from the last checkpoint to the very same result.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import msgspec
import numpy as np
import torch
from safetensors.torch import save

from rvc import __version__
from rvc.architectures import Architecture, architecture
from rvc.content import load_content_encoder
from rvc.contract import Consent, Progress, Stage, TrainingSettings
from rvc.dataset import find_recordings
from rvc.dataset.features import Extractor, PreparedDataset, prepare_training_set
from rvc.device import accelerator_errors
from rvc.errors import InvalidConfiguration, Terminated
from rvc.evaluation import reconstruction_distance
from rvc.parallel import SINGLE
from rvc.pitch import load_pitch
from rvc.retrieval import build_index
from rvc.tiles import MEDIAN_F0, voice_tensors
from rvc.training.checkpoints import CheckpointStore
from rvc.training.epochs import Interruption, run_epochs
from rvc.training.progress import ProgressReporter
from rvc.voice import (
    INDEX_NAME,
    TENSORS_NAME,
    DatasetSummary,
    EncoderReference,
    VoiceManifest,
    open_voice,
    write_manifest,
)

log = logging.getLogger(__name__)

REFUSALS_NAME = "dataset.json"
"""File of the voice that lists the recordings that were not used, and why."""
_PACKAGES = ("torch", "numpy")


def train_voice(
    dataset_folder: Path,
    voice_folder: Path,
    work_folder: Path,
    settings: TrainingSettings,
    *,
    name: str,
    revision: str,
    base_models: Path | None,
    device: torch.device,
    on_progress: Callable[[Progress], None],
    checkpoints: CheckpointStore,
    stop: Callable[[], bool],
    consent: Consent | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> VoiceManifest:
    """Learn the voice in `dataset_folder` and write it to `voice_folder`; returns its manifest.

    `work_folder` is for features and scratch files and may be kept for the next attempt. `stop` is asked
    between steps; once it is true a checkpoint is saved and Terminated raised.

    Raises InvalidDataset, InvalidConfiguration, ArtifactCorrupt (a checkpoint that is damaged or another
    training's), AcceleratorError, Terminated.
    """
    synthesizer = architecture(settings.architecture)
    _require_rate(synthesizer, settings)
    progress = ProgressReporter(on_progress, settings.epochs, clock)
    for folder in (voice_folder, work_folder):
        folder.mkdir(parents=True, exist_ok=True)
    with accelerator_errors():
        # 1. Recordings, and the networks that will hear them.
        progress.stage(Stage.PREPARING)
        recordings = find_recordings(dataset_folder)
        extractor = Extractor(
            load_content_encoder(settings.content_encoder, base_models, device),
            load_pitch(settings.pitch_method, base_models, device),
            settings.sample_rate_hertz,
        )

        # 2. Features.
        def recording_done(number: int) -> None:
            progress.share(Stage.EXTRACTING_FEATURES, number, len(recordings))
            if stop():
                raise Terminated("stopped while extracting features; what is done is kept in the work folder")

        dataset = prepare_training_set(
            recordings,
            extractor,
            work_folder,
            conventions=synthesizer.conventions,
            on_recording=recording_done,
        )
        for refusal in dataset.refusals:
            log.warning("recording not used: %s", refusal.message)

        # 3. Training.
        run = synthesizer.start_training(dataset.training_set, settings, base_models, device, SINGLE)
        interruption = Interruption(_identity(dataset, extractor, settings), checkpoints, work_folder, stop)
        losses = run_epochs(run, settings, interruption, device, progress)
        moments = dataset.content_moments if synthesizer.conventions.standardizes_content else None
        tensors = voice_tensors(run.export(), moments, dataset.level_moments)
        (voice_folder / TENSORS_NAME).write_bytes(save(tensors))

        # 4. Index.
        progress.stage(Stage.INDEXING)
        content = dataset.training_set.content.astype(np.float32)
        (voice_folder / INDEX_NAME).write_bytes(build_index(content, settings.seed))

        # 5. The finished voice speaks.
        progress.stage(Stage.EVALUATING)
        distance = reconstruction_distance(
            synthesizer, tensors, run.hyperparameters, dataset.training_set, device
        )

    # 6. The voice's folder.
    progress.stage(Stage.PUBLISHING)
    _write_refusals(dataset, voice_folder / REFUSALS_NAME)
    described = _describe(dataset, extractor, settings, dict(losses) | {"reconstructionDecibels": distance})
    manifest = msgspec.structs.replace(
        described,
        name=name,
        revision=revision,
        consent=consent or Consent(),
        hyperparameters=dict(run.hyperparameters),
    )
    written = write_manifest(voice_folder, manifest)
    open_voice(voice_folder)
    return written


def _describe(
    dataset: PreparedDataset, extractor: Extractor, settings: TrainingSettings, metrics: Mapping[str, float]
) -> VoiceManifest:
    """The manifest, but for whose voice it is."""
    learnt_from = dataset.training_set
    return VoiceManifest(
        name="",
        revision="",
        architecture=settings.architecture,
        sample_rate_hertz=settings.sample_rate_hertz,
        content_encoder=EncoderReference(
            name=extractor.content.name,
            digest=extractor.content.digest,
            dimension=extractor.content.dimension,
        ),
        pitch_method=extractor.pitch.name,
        parameters=settings,
        metrics=dict(metrics) | {"refusedRecordings": len(dataset.refusals)},
        dataset=DatasetSummary(
            digest=learnt_from.digest,
            seconds=round(learnt_from.seconds, 2),
            clips=len(learnt_from.clip_rows) - 1,
        ),
        software={"rvc-operator": __version__}
        | {name: importlib.metadata.version(name) for name in _PACKAGES},
        statistics={MEDIAN_F0: learnt_from.median_f0_hertz},
    )


def _require_rate(synthesizer: Architecture, settings: TrainingSettings) -> None:
    if settings.sample_rate_hertz not in synthesizer.sample_rates_hertz:
        rates = ", ".join(map(str, synthesizer.sample_rates_hertz))
        raise InvalidConfiguration(
            f"sampleRateHertz {settings.sample_rate_hertz} is not for architecture {synthesizer.name}; use "
            f"one of {rates}"
        )


def _identity(dataset: PreparedDataset, extractor: Extractor, settings: TrainingSettings) -> str:
    """Digest of all that decides what is learnt. When checkpoints are saved, and whence base models come,
    does not."""
    decisive = msgspec.structs.replace(settings, save_every_epochs=1, base_models_uri="")
    parts = [
        dataset.training_set.digest,
        extractor.content.digest,
        extractor.pitch.name,
        msgspec.to_builtins(decisive),
    ]
    return f"sha256:{hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()}"


def _write_refusals(dataset: PreparedDataset, path: Path) -> None:
    summary = {"recordings": dataset.recordings, "refused": [asdict(refusal) for refusal in dataset.refusals]}
    path.write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
