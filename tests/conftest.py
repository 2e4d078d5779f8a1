"""Fixtures that every test may use."""

import logging

import pytest

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
