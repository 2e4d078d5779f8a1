"""What `rvc train` and `rvc inspect` do; `rvc.cli` says how they are written."""

from __future__ import annotations

import argparse
import signal
import threading

import msgspec
from tqdm import tqdm

from rvc.cli_voices import print_result, print_voice
from rvc.contract import Progress, TrainingSettings
from rvc.dataset.prepare import inspect_recordings
from rvc.dataset.recordings import find_recordings, find_speakers
from rvc.dataset.report import DatasetReport
from rvc.device import open_device
from rvc.parallel import joined
from rvc.pitch import load_pitch
from rvc.train import REPORT_NAME, help_to_train, train_voice
from rvc.training.checkpoints import FolderCheckpoints

_BAR = "{desc} {bar} {n:.0f} % [{elapsed}{postfix}]"


def train(chosen: argparse.Namespace) -> None:
    """`rvc train DATASET VOICE`. Ctrl-C and SIGTERM save a checkpoint; the same command goes on from it.

    Under `torchrun` several accelerators of one machine train together.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    work = chosen.work or chosen.voice.with_name(f"{chosen.voice.name}.work")
    settings = _settings(chosen)
    checkpoints = FolderCheckpoints(work / "checkpoints")
    device = open_device(chosen.device)
    with joined(device) as parallel:
        if not parallel.leads:
            help_to_train(
                chosen.dataset,
                work,
                settings,
                base_models=chosen.base_models,
                device=device,
                checkpoints=checkpoints,
                parallel=parallel,
            )
            return
        with tqdm(total=100, unit="%", disable=chosen.json, bar_format=_BAR) as bar:
            manifest = train_voice(
                chosen.dataset,
                chosen.voice,
                work,
                settings,
                name=chosen.name or chosen.voice.name,
                revision="",
                base_models=chosen.base_models,
                device=device,
                on_progress=lambda progress: _show(progress, bar),
                checkpoints=checkpoints,
                stop=stop.is_set,
                parallel=parallel,
            )
            bar.update(100 - bar.n)
    if not chosen.json:
        report = msgspec.json.decode((chosen.voice / REPORT_NAME).read_bytes(), type=DatasetReport)
        tqdm.write(report.summary)
    print_voice(manifest, chosen)


def inspect(chosen: argparse.Namespace) -> None:
    """`rvc inspect DATASET`: what `rvc train` would make of the recordings."""
    recordings, speakers = (
        find_speakers(chosen.dataset) if chosen.multi_speaker else (find_recordings(chosen.dataset), ())
    )
    pitch = load_pitch(chosen.pitch_method, chosen.base_models, open_device(chosen.device))
    with tqdm(total=len(recordings), disable=chosen.json) as bar:
        report = inspect_recordings(recordings, speakers, pitch, on_recording=lambda number: bar.update())
    print_result(msgspec.to_builtins(report), [*report.table(), report.summary, *report.complaints()], chosen)


def _settings(chosen: argparse.Namespace) -> TrainingSettings:
    return TrainingSettings(
        architecture=chosen.architecture,
        sample_rate_hertz=chosen.sample_rate,
        content_encoder=chosen.content_encoder,
        pitch_method=chosen.pitch_method,
        epochs=chosen.epochs,
        batch_size=chosen.batch_size,
        batch_parts=chosen.batch_parts,
        save_every_epochs=chosen.save_every,
        seed=chosen.seed,
        precision=chosen.precision,
        multi_speaker=chosen.multi_speaker,
        early_stopping_epochs=chosen.early_stopping,
        gradient_checkpointing=chosen.gradient_checkpointing,
        tensor_board=chosen.tensor_board,
    )


def _show(progress: Progress, bar: tqdm) -> None:
    losses = " ".join(f"{metric.name} {metric.value}" for metric in progress.metrics)
    epoch = f" epoch {progress.epoch}/{progress.total_epochs}" if progress.epoch else ""
    bar.set_description_str(f"{progress.stage}{epoch}", refresh=False)
    bar.set_postfix_str(losses, refresh=False)
    bar.update(progress.progress_percentage - bar.n)
