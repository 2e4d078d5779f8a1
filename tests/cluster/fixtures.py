"""Pytest fixtures: a real control plane for every test worker, started when the first test asks for it."""

from collections.abc import Iterator

import pytest

from .control_plane import ControlPlane


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """A control plane of this worker's own; `.kubeconfig` is a path, `.kubectl(...)` runs kubectl on it."""
    with ControlPlane.start() as running:
        yield running
