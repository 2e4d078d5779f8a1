"""Train a voice from a folder of recordings.

    1. find the recordings                                        rvc.dataset
    2. extract their features, cut out pauses, join them          rvc.dataset.prepare
    3. train, epoch by epoch, with checkpoints                    rvc.training
    4. index the content for retrieval                            rvc.retrieval
    5. write the voice's folder, the manifest last                rvc.voice
    6. convert recordings that were held out, add the figures     rvc.training.last_test

An attempt that is stopped or dies is continued by the next one: features are found in the work folder, or
brought there from where the attempt before had them kept, and training goes on from the last checkpoint to
the very same result. Of several processes the leading one does all of this; the others take part in the third
step alone.
"""

from __future__ import annotations

import importlib.metadata
import logging
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import numpy as np
import torch
from safetensors.torch import save

from rvc import __version__
from rvc.architectures import Architecture, TrainingRun, architecture
from rvc.community.voice import write_community_files
from rvc.content import load_content_encoder, resolve_content_encoder
from rvc.contract import Architecture as ArchitectureName
from rvc.contract import Consent, Progress, Stage, TrainingSettings
from rvc.dataset.features import Extractor, FeatureKeeper
from rvc.dataset.prepare import PreparedDataset, prepare_training_set
from rvc.dataset.recordings import find_recordings, find_speakers
from rvc.device import accelerator_errors
from rvc.errors import InvalidConfiguration, Terminated
from rvc.parallel import SINGLE, Parallel
from rvc.pitch import load_pitch
from rvc.retrieval import build_index, few_enough
from rvc.tiles import INDEX_ROWS, MEDIAN_F0, synthesizer_tensors, voice_tensors
from rvc.training.checkpoints import CheckpointStore
from rvc.training.course import Course
from rvc.training.epochs import Epochs, Interruption, Judgement
from rvc.training.identity import training_identity
from rvc.training.journal import Journal
from rvc.training.last_test import last_test, require_sound
from rvc.training.progress import ProgressReporter
from rvc.training.sample import Listening
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

REPORT_NAME = "dataset.json"
"""File of the voice with the report on its recordings."""
_PACKAGES = ("torch", "numpy")
_EVALUATED_SECONDS = 30.0


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
    keeper: FeatureKeeper | None = None,
    parallel: Parallel = SINGLE,
) -> VoiceManifest:
    """Learn the voice in `dataset_folder` and write it to `voice_folder`; returns its manifest.

    `work_folder` is for features and scratch files and may be kept for the next attempt; where it is not,
    `keeper` keeps the features. `stop` is asked between steps; once it is true a checkpoint is saved and
    Terminated raised. Where several processes train together this is for the leading one, and the others call
    `help_to_train`.

    Raises InvalidDataset, InvalidConfiguration, ArtifactCorrupt (a checkpoint that is damaged or another
    training's), AcceleratorError, TrainingFailed, Terminated.
    """
    progress = ProgressReporter(on_progress, settings.epochs, clock)
    for folder in (voice_folder, work_folder):
        folder.mkdir(parents=True, exist_ok=True)
    work = _Work(dataset_folder, work_folder, settings, base_models, device, checkpoints, stop, parallel)
    with accelerator_errors():
        # 1. Recordings, and the networks that will hear them; 2. their features.
        dataset, extractor = work.prepare(progress, keeper)
        log.info("%s", dataset.report.summary)
        for line in dataset.report.complaints():
            log.warning("%s", line)

        # 3. Training.
        listening = Listening(work.synthesizer, dataset.held_out or dataset.training_set)
        with Journal(voice_folder, listening, tensor_board=settings.tensor_board) as journal:
            run, course = work.train(
                dataset, extractor, Judgement(dataset.held_out, listening, journal), progress
            )
        conventions = work.synthesizer.conventions
        tensors = voice_tensors(
            course.voice(run.export()),
            dataset.content_moments if conventions.standardizes_content else None,
            dataset.level_moments if conventions.levels_speech else None,
        )
        (voice_folder / TENSORS_NAME).write_bytes(save(tensors))

        # 4. Index.
        progress.stage(Stage.INDEXING)
        indexed = few_enough(dataset.index_content, settings.seed)
        (voice_folder / INDEX_NAME).write_bytes(build_index(np.concatenate(indexed), settings.seed))

        # 5. The voice's folder.
        dataset.report.write(voice_folder / REPORT_NAME)
        manifest = msgspec.structs.replace(
            _describe(dataset, [len(rows) for rows in indexed], extractor, settings, course),
            name=name,
            revision=revision,
            consent=consent or Consent(),
            hyperparameters=dict(run.hyperparameters),
        )
        if settings.architecture == ArchitectureName.RVC2:
            write_community_files(voice_folder, manifest)
        write_manifest(voice_folder, manifest)

        # 6. The finished voice speaks, and the manifest tells how well.
        progress.stage(Stage.EVALUATING)
        require_sound(listening.speak(synthesizer_tensors(tensors), run.hyperparameters, device))
        longer = replace(listening, seconds=_EVALUATED_SECONDS)
        with tempfile.TemporaryDirectory(dir=work_folder, prefix="evaluation-") as scratch:
            voice = open_voice(voice_folder)
            figures = last_test(voice, longer, base_models, extractor.content, device, Path(scratch))
    progress.stage(Stage.PUBLISHING)
    manifest.metrics.update(figures)
    return write_manifest(voice_folder, manifest)


def help_to_train(
    dataset_folder: Path,
    work_folder: Path,
    settings: TrainingSettings,
    *,
    base_models: Path | None,
    device: torch.device,
    checkpoints: CheckpointStore,
    parallel: Parallel,
) -> None:
    """What the other processes do while the leading one is in `train_voice`, with the same work folder.

    Raises as `train_voice` does; returns when there is nothing left to learn.
    """
    progress = ProgressReporter(lambda progress: None, settings.epochs, time.monotonic)
    work = _Work(
        dataset_folder, work_folder, settings, base_models, device, checkpoints, lambda: False, parallel
    )
    with accelerator_errors():
        dataset, extractor = work.prepare(progress)
        work.train(dataset, extractor, None, progress)


@dataclass(frozen=True)
class _Work:
    """The part of a training in which all its processes take part."""

    dataset_folder: Path
    folder: Path
    settings: TrainingSettings
    base_models: Path | None
    device: torch.device
    checkpoints: CheckpointStore
    stop: Callable[[], bool]
    parallel: Parallel
    synthesizer: Architecture = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "synthesizer", architecture(self.settings.architecture))
        _require_settings(self.synthesizer, self.settings)

    def prepare(
        self, progress: ProgressReporter, keeper: FeatureKeeper | None = None
    ) -> tuple[PreparedDataset, Extractor]:
        """The dataset and what it was made with."""
        progress.stage(Stage.PREPARING)
        settings = self.settings
        encoder = resolve_content_encoder(settings.content_encoder, settings.architecture, self.base_models)
        recordings, speakers = (
            find_speakers(self.dataset_folder)
            if settings.multi_speaker
            else (find_recordings(self.dataset_folder), ())
        )
        extractor = Extractor(
            load_content_encoder(encoder, self.base_models, self.device),
            load_pitch(settings.pitch_method, self.base_models, self.device),
            settings.sample_rate_hertz,
            self.synthesizer.conventions,
        )

        def recording_done(number: int) -> None:
            progress.share(Stage.EXTRACTING_FEATURES, number, len(recordings))
            if self.stop():
                raise Terminated("stopped while extracting features; what is done is kept")

        dataset = prepare_training_set(
            recordings,
            speakers,
            extractor,
            self.folder,
            on_recording=recording_done,
            keeper=keeper,
            parallel=self.parallel,
        )
        return dataset, extractor

    def train(
        self,
        dataset: PreparedDataset,
        extractor: Extractor,
        judgement: Judgement | None,
        progress: ProgressReporter,
    ) -> tuple[TrainingRun, Course]:
        """Run all epochs that are left; the run after the last one and what there is to say of them."""
        run = self.synthesizer.start_training(
            dataset.training_set, self.settings, self.base_models, self.device, self.parallel
        )
        identity = training_identity(dataset.training_set.digest, extractor, self.settings, self.base_models)
        interruption = Interruption(identity, self.checkpoints, self.folder, self.stop)
        epochs = Epochs(run, self.settings, interruption, judgement, self.device, self.parallel)
        return run, epochs.all(progress)


def _describe(
    dataset: PreparedDataset,
    index_rows: Sequence[int],
    extractor: Extractor,
    settings: TrainingSettings,
    course: Course,
) -> VoiceManifest:
    """The manifest, but for whose voice it is; `index_rows` are counted by speaker."""
    learnt_from, report = dataset.training_set, dataset.report
    statistics = {MEDIAN_F0: learnt_from.median_f0_hertz}
    if len(index_rows) > 1:
        for speaker, hertz in enumerate(dataset.speaker_medians_hertz):
            statistics[f"{MEDIAN_F0}.{speaker}"] = hertz
            statistics[f"{INDEX_ROWS}.{speaker}"] = float(index_rows[speaker])
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
        speakers=learnt_from.speakers,
        speaker_names=report.speakers,
        parameters=settings,
        metrics=course.metrics()
        | {"refusedRecordings": len(report.refused), "datasetWarnings": len(report.warnings)},
        dataset=DatasetSummary(
            digest=learnt_from.digest,
            seconds=round(dataset.seconds, 2),
            clips=int((learnt_from.clip_rows[1:] <= dataset.speech_rows).sum()),
        ),
        software={"rvc-operator": __version__}
        | {name: importlib.metadata.version(name) for name in _PACKAGES},
        statistics=statistics,
    )


def _require_settings(synthesizer: Architecture, settings: TrainingSettings) -> None:
    if settings.sample_rate_hertz not in synthesizer.sample_rates_hertz:
        rates = ", ".join(map(str, synthesizer.sample_rates_hertz))
        raise InvalidConfiguration(
            f"sampleRateHertz {settings.sample_rate_hertz} is not for architecture {synthesizer.name}; use "
            f"one of {rates}"
        )
    if settings.multi_speaker and synthesizer.name == ArchitectureName.LIGHT:
        raise InvalidConfiguration(
            f"architecture {synthesizer.name} learns one speaker; use architecture: {ArchitectureName.RVC2} "
            "for multiSpeaker, or train a voice for each speaker"
        )
