"""Trainings that are killed in the middle of an epoch, as processes: they go on to the same end."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.numpy import load_file
from tensorboardX.proto.event_pb2 import Event

from rvc.contract import Architecture
from tests.fixtures.programs import REPOSITORY
from tests.train.attempt import ENDS, EPOCHS

MODULE = "tests.train.attempt"
CODES = {"SIGTERM": 143, "SIGKILL": -9, "OutOfMemory": 14}


def attempt(folder: Path, architecture: str, *options: str, ranks: int = 1) -> int:
    """Run an attempt to its end; the exit code."""
    folder.mkdir(exist_ok=True)
    launcher = []
    if ranks > 1:
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
    command = [sys.executable, *launcher, "-m", MODULE, architecture, str(folder), *options]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, check=False, timeout=300).returncode


@pytest.fixture(scope="module", params=list(Architecture))
def uninterrupted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / request.param
    assert attempt(folder, request.param) == 0
    return folder


def epochs(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "voice" / "losses.jsonl").read_text().splitlines()]


def contents(folder: Path) -> dict[str, bytes]:
    """Files of the voice, but for event files, which tell when they were written."""
    files = (folder / "voice").iterdir()
    return {path.name: path.read_bytes() for path in files if "tfevents" not in path.name}


def scalars(folder: Path) -> list[tuple[str, int, float]]:
    """What TensorBoard would show."""
    (path,) = (folder / "voice").glob("events.out.tfevents.*")
    content, found = path.read_bytes(), []
    while content:
        size = int.from_bytes(content[:8], "little")
        event, content = Event.FromString(content[12 : 12 + size]), content[12 + size + 4 :]
        found += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
    return found


def assert_alike(folder: Path, uninterrupted: Path) -> None:
    """Two trainings learnt the same, but for the order in which numbers were added up."""
    for ours, theirs in zip(epochs(folder), epochs(uninterrupted), strict=True):
        for group in ("losses", "validation"):
            assert ours[group] == pytest.approx(theirs[group], rel=1e-3)
    learnt, wanted = (load_file(place / "voice" / "voice.safetensors") for place in (folder, uninterrupted))
    assert max(abs(learnt[name] - wanted[name]).max() for name in wanted) < 1e-3


@pytest.mark.parametrize("end", ENDS)
def test_a_killed_training_goes_on_to_the_same_end(uninterrupted: Path, tmp_path: Path, end: str) -> None:
    folder = tmp_path / uninterrupted.name
    assert attempt(folder, uninterrupted.name, "--end", end) == CODES[end]
    assert not (folder / "voice" / "voice.safetensors").exists()
    if end == "SIGKILL":
        # As if the next attempt were on another machine, where there is nothing but the checkpoints.
        shutil.rmtree(folder / "voice")
    assert attempt(folder, uninterrupted.name) == 0
    assert len(epochs(folder)) == EPOCHS
    ours, theirs = contents(folder), contents(uninterrupted)
    assert [name for name in sorted(ours | theirs) if ours.get(name) != theirs.get(name)] == []
    assert scalars(folder) == scalars(uninterrupted)


def test_after_full_memory_it_goes_on_in_parts_to_the_same_end(uninterrupted: Path, tmp_path: Path) -> None:
    folder = tmp_path / uninterrupted.name
    assert attempt(folder, uninterrupted.name, "--end", "OutOfMemory") == CODES["OutOfMemory"]
    assert attempt(folder, uninterrupted.name, "--batch-parts", "2") == 0
    assert_alike(folder, uninterrupted)


def test_there_is_something_to_see_and_hear(uninterrupted: Path) -> None:
    names = set(contents(uninterrupted))
    assert {"losses.png", "spectrogram.png", "losses.jsonl", f"sample-epoch-{EPOCHS:06d}.wav"} <= names
    tags = {tag for tag, _, _ in scalars(uninterrupted)}
    assert {"losses/mel", "validation/validation"} <= tags
    assert {step for _, step, _ in scalars(uninterrupted)} == set(range(1, EPOCHS + 1))


def test_two_processes_are_stopped_and_go_on_to_the_end_of_one(uninterrupted: Path, tmp_path: Path) -> None:
    if uninterrupted.name != Architecture.RVC2:
        pytest.skip("trains in one process")
    folder = tmp_path / "two"
    assert attempt(folder, Architecture.RVC2, "--end", "SIGTERM", ranks=2) != 0
    assert len(list((folder / "checkpoints").glob("epoch-00000001-*"))) == 2, "at its end, and when stopped"
    assert attempt(folder, Architecture.RVC2, ranks=2) == 0
    assert_alike(folder, uninterrupted)
