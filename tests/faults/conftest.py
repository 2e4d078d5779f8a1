"""Fixtures of the tests under trouble."""

import logging
from collections.abc import AsyncIterator

import pytest

from tests.cluster.control_plane import ControlPlane

from .places import Places, places


@pytest.fixture
async def many(served_kinds: ControlPlane) -> AsyncIterator[Places]:
    """Namespaces, as many as the test opens."""
    for noisy in ("kopf", "aiohttp", "rvc_operator"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    async with places(served_kinds) as made:
        yield made
