"""Whatever happens to two voices, what must hold holds, and left alone all comes right.

The suite lives a few lives, the same in every run as far as time allows; `LIVES=200` more of them.
"""

import logging
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.cluster.control_plane import ControlPlane

from .lives import Lives, Stage

pytestmark = pytest.mark.cluster

LIVES = int(os.environ.get("LIVES", "6"))
STEPS = 14


@pytest.fixture
def stage(served_kinds: ControlPlane) -> Iterator[Stage]:
    for noisy in ("aiohttp", "asyncio", "rvc_operator"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    made = Stage(served_kinds)
    yield made
    made.close()


def test_random_lives_end_well(stage: Stage) -> None:
    class Staged(Lives):
        pass

    Staged.stage = stage
    # A life takes seconds and is never lived twice in the same way, so it is not made smaller either.
    run_state_machine_as_test(
        Staged,
        settings=settings(
            max_examples=LIVES,
            stateful_step_count=STEPS,
            derandomize=True,
            deadline=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )
