from multiprocessing.context import ForkServerContext

import pytest

from tests.oss_runs.lives import fork_server


@pytest.fixture(scope="package")
def forks() -> ForkServerContext:
    return fork_server()
