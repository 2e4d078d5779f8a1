"""Fixtures that every test may use."""

import logging
import os

import pytest
from hypothesis import settings

# Examples are the same in every run, so that one commit has one result; `HYPOTHESIS_PROFILE=searching` looks
# for new ones. How long an example may take is no property of ours: the machines are shared.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("searching", derandomize=False, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

pytest_plugins = ["tests.cluster.fixtures"]


@pytest.fixture(autouse=True)
def our_loggers_speak() -> None:
    """Libraries that set up logging in a test before may have silenced every logger that there was."""
    logging.disable(logging.NOTSET)
    logging.root.setLevel(logging.WARNING)
    for name, logger in logging.root.manager.loggerDict.items():
        if name.startswith("rvc") and isinstance(logger, logging.Logger):
            logger.disabled = False
            logger.propagate = True
