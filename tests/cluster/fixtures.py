"""Pytest fixtures: a real cluster for every test worker, started when the first test asks for it."""

import os
from collections.abc import Iterator

import pytest

from .control_plane import ControlPlane
from .layout import state_folder
from .node import Node


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """A control plane of this worker's own; `.kubeconfig` is a path, `.kubectl(...)` runs kubectl on it."""
    with ControlPlane.start() as running:
        yield running


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    """A cluster with a node, of this worker's own and beside the one of the demo; needs root."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    running = Node(state_folder().with_name(f"rvc-operator-test-cluster-{worker}"))
    running.up(bound_to_caller=True)
    yield running
    running.down()
