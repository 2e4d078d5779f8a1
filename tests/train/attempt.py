"""A training attempt in a process of its own, which may be killed: `python -m tests.train.attempt ...`.

Small networks learn a made-up voice; all the rest is what `rvc train` runs. With an end that it is to meet it
meets it in the middle of the second epoch. Started by `torchrun` it is one of several processes.
"""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import torch
from safetensors.torch import save_file

from rvc.architectures import Architecture, TrainingRun, TrainingSet
from rvc.contract import Architecture as ArchitectureName
from rvc.contract import Precision, TrainingSettings
from rvc.device import accelerator_errors
from rvc.errors import RvcError
from rvc.exit_codes import exit_code
from rvc.light import Light
from rvc.parallel import Parallel, joined
from rvc.rvc2 import RVC2
from rvc.training.checkpoints import FolderCheckpoints
from rvc.training.epochs import Epochs, Interruption, Judgement
from rvc.training.journal import Journal
from rvc.training.progress import ProgressReporter
from rvc.training.sample import Listening
from tests.light.timeline import tiny_training_set
from tests.rvc2.small import small_training, small_training_set

CPU = torch.device("cpu")
STEPS_PER_EPOCH = 3
EPOCHS = 3
FATAL_STEP = STEPS_PER_EPOCH + 2
SETTINGS = TrainingSettings(
    sample_rate_hertz=32000,
    epochs=EPOCHS,
    batch_size=2,
    save_every_epochs=1,
    precision=Precision.FP32,
    early_stopping_epochs=EPOCHS,
    tensor_board=True,
)


def start(name: str, parallel: Parallel, batch_parts: int) -> tuple[Architecture, TrainingRun, TrainingSet]:
    """An architecture, a run of it, and clips that it is not trained on."""
    if name == ArchitectureName.LIGHT:
        changes = {"architecture": name, "sample_rate_hertz": 16000, "batch_parts": batch_parts}
        settings = msgspec.structs.replace(SETTINGS, **changes)
        dataset = tiny_training_set(16000, 2 * STEPS_PER_EPOCH)
        run = Light().start_training(dataset, settings, None, CPU, parallel)
        return Light(), run, tiny_training_set(16000, 3)
    dataset = small_training_set(2 * STEPS_PER_EPOCH)
    run = small_training(dataset, parallel, epochs=EPOCHS, batch_parts=batch_parts)
    return RVC2(), run, small_training_set(3)


def exhaust_memory() -> None:
    raise torch.OutOfMemoryError("as if the card were full")


ENDS: dict[str, Callable[[], None]] = {
    "SIGTERM": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "SIGKILL": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "OutOfMemory": exhaust_memory,
}


def doomed(run: TrainingRun, end: Callable[[], None]) -> None:
    """Let a run meet its end in a step."""
    step = run.step

    def last_step() -> dict[str, torch.Tensor]:
        if run.steps_done == FATAL_STEP - 1:
            end()
        return step()

    run.step = last_step  # type: ignore[method-assign]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("architecture")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--end", choices=ENDS)
    parser.add_argument("--batch-parts", type=int, default=1)
    chosen = parser.parse_args()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with joined(CPU) as parallel, accelerator_errors():
        architecture, run, held_out = start(chosen.architecture, parallel, chosen.batch_parts)
        if chosen.end and parallel.leads:
            doomed(run, ENDS[chosen.end])
        checkpoints = FolderCheckpoints(chosen.folder / "checkpoints")
        interruption = Interruption("sha256:aa", checkpoints, chosen.folder, stop.is_set)
        progress = ProgressReporter(lambda progress: None, EPOCHS, lambda: 0.0)
        voice = chosen.folder / "voice"
        voice.mkdir(exist_ok=True)
        if not parallel.leads:
            Epochs(run, SETTINGS, interruption, None, CPU, parallel).all(progress)
            return 0
        listening = Listening(architecture, held_out)
        with Journal(voice, listening, tensor_board=True) as journal:
            judgement = Judgement(held_out, listening, journal)
            course = Epochs(run, SETTINGS, interruption, judgement, CPU, parallel).all(progress)
        save_file(course.voice(run.export()), voice / "voice.safetensors")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RvcError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(exit_code(error))
