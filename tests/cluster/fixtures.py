"""Pytest fixtures: a real cluster for every test worker, started when the first test asks for it."""

import os
from collections.abc import Iterator

import pytest

from .control_plane import ControlPlane
from .layout import REPOSITORY, state_folder
from .node import Node


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """A control plane of this worker's own; `.kubeconfig` is a path, `.kubectl(...)` runs kubectl on it."""
    with ControlPlane.start() as running:
        yield running


@pytest.fixture(scope="session")
def served_kinds(control_plane: ControlPlane) -> ControlPlane:
    """A control plane that knows our kinds, and has the Secret of the operator's key pair."""
    control_plane.kubectl("apply", "--validate=false", "-k", str(REPOSITORY / "crds"))
    kinds = ("crd/voicemodels.voice.rvc.dev", "crd/conversions.voice.rvc.dev")
    control_plane.kubectl("wait", "--for=condition=Established", *kinds, "--timeout=60s")
    control_plane.kubectl("create", "namespace", "rvc-system")
    key = REPOSITORY / "manifests" / "base" / "operator-key.yaml"
    control_plane.kubectl("apply", "--namespace=rvc-system", "-f", str(key))
    return control_plane


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    """A cluster with a node, of this worker's own and beside the one of the demo; needs root."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    running = Node(state_folder().with_name(f"rvc-operator-test-cluster-{worker}"))
    running.up(bound_to_caller=True)
    yield running
    running.down()
