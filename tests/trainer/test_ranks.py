"""Several processes as one attempt: how they end, and what the pod says then."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from rvc.contract import Architecture, TrainingResult, encode
from rvc_trainer.ranks import run_ranks
from tests.fixtures.base_models import base_models
from tests.fixtures.programs import REPOSITORY, SOURCES, Program, eventually
from tests.trainer.recordings import SETTINGS, request, write_dataset

__all__ = ["base_models"]

WAIT = "signal.pause()"
SAY = "Path(os.environ['RVC_TERMINATION_MESSAGE_PATH']).write_text('{\"reason\": \"Rank%d\"}' % rank)"
PROGRAM = """
import os, signal, sys
from pathlib import Path
rank = int(os.environ["RANK"])
assert os.environ["WORLD_SIZE"] == "3" and os.environ["LOCAL_RANK"] == str(rank)
assert Path(os.environ["RVC_TRAINER_SCRATCH"]).is_dir()
assert "MASTER_PORT" not in os.environ, "whatever is free now may not be free then"
{}
"""


def run(tmp_path: Path, *bodies: str) -> tuple[int, TrainingResult]:
    """Processes that do what `bodies` say; exit code and termination message."""
    cases = "\n".join(f"if rank == {rank}:\n    {body}" for rank, body in enumerate(bodies))
    message = tmp_path / "message"
    command = [sys.executable, "-c", PROGRAM.format(cases)]
    code = run_ranks(command, len(bodies), tmp_path, message, os.environ)
    return code, msgspec.json.decode(message.read_bytes(), type=TrainingResult)


def test_the_attempt_ends_with_the_leading_process(tmp_path):
    assert run(tmp_path, SAY, WAIT, "sys.exit(0)") == (0, TrainingResult(reason="Rank0"))


@pytest.mark.parametrize("code", [10, 14, 143])
def test_the_end_of_the_leading_process_is_the_end_of_the_pod(tmp_path, code):
    assert run(tmp_path, f"{SAY}; sys.exit({code})", WAIT, WAIT) == (code, TrainingResult(reason="Rank0"))


def test_a_process_that_fails_ends_all(tmp_path):
    assert run(tmp_path, WAIT, WAIT, f"{SAY}; sys.exit(14)") == (14, TrainingResult(reason="Rank2"))


def test_a_process_that_is_killed_ends_all_and_is_named(tmp_path):
    code, result = run(tmp_path, WAIT, "os.kill(os.getpid(), signal.SIGKILL)", WAIT)
    assert (code, result.reason) == (137, "ProcessKilled")
    assert result.message.startswith("process 2 of 3 ended by SIGKILL")


def test_processes_that_stopped_wait_for_the_leading_one(tmp_path):
    other = str(tmp_path / "rank-1.json")
    after_the_other = f"[None for _ in iter(Path({other!r}).exists, True)]"
    bodies = (f"{after_the_other}; {SAY}; sys.exit(143)", f"{SAY}; sys.exit(143)", WAIT)
    assert run(tmp_path, *bodies) == (143, TrainingResult(reason="Rank0"))


LAUNCHER = """
import os, sys
from pathlib import Path
from rvc_trainer.ranks import run_ranks
folder = Path(sys.argv[1])
sys.exit(run_ranks([sys.executable, "-c", sys.argv[2]], 3, folder, folder / "message", os.environ))
"""


def test_a_signal_reaches_all_processes(tmp_path):
    started = [tmp_path / f"started-{rank}" for rank in range(3)]
    leave = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))"
    program = PROGRAM.format(f"{leave}; Path(f'{tmp_path}/started-{{rank}}').touch(); {WAIT}")
    paths = os.pathsep.join(str(REPOSITORY / source) for source in SOURCES)
    command = [sys.executable, "-c", LAUNCHER, str(tmp_path), program]
    with subprocess.Popen(command, env=os.environ | {"PYTHONPATH": paths}) as process:
        eventually(lambda: all(path.exists() for path in started), "all processes")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143


def test_an_attempt_with_several_accelerators_is_several_processes(tmp_path, base_models):
    """`Light` refuses them, and by then both have prepared the dataset together."""
    write_dataset(tmp_path / "claims" / "data")
    message = tmp_path / "termination-log"
    environment = {
        "RVC_TRAINING_REQUEST": encode(request(training=SETTINGS, accelerators=2)),
        "RVC_CLAIMS_FOLDER": str(tmp_path / "claims"),
        "RVC_TERMINATION_MESSAGE_PATH": str(message),
    }
    assert SETTINGS.architecture == Architecture.LIGHT
    with Program("rvc_trainer", tmp_path, environment) as trainer:
        assert trainer.end() == 11, trainer.log()[-1]
        result = msgspec.json.decode(message.read_bytes(), type=TrainingResult)
    assert (result.reason, "one accelerator" in result.message) == ("ConfigurationInvalid", True)
