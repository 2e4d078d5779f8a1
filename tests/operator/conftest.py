"""Fixtures: the CRDs on a control plane, the operator on it, and a namespace of its own for every test."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path

import pytest
from kubernetes.aio import config as kube_config
from kubernetes.aio.client import Configuration

from rvc_operator.runtime.kube import Kube
from tests.cluster.control_plane import ControlPlane

from .kubelet import Kubelet
from .process import OperatorProcess
from .world import World

_numbers = count(1)


@pytest.fixture(scope="module")
def shared_operator(
    served_kinds: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorProcess]:
    """One operator for all namespaces, and for all tests of a module."""
    log = tmp_path_factory.mktemp("operator") / "log"
    operator = OperatorProcess(served_kinds.kubeconfig, "", log)
    operator.start()
    yield operator
    operator.stop()


@pytest.fixture
async def world(served_kinds: ControlPlane, shared_operator: OperatorProcess) -> AsyncIterator[World]:
    """A namespace of the shared operator; not to be used in one module with `lone_world`."""
    async with _world(served_kinds, shared_operator, f"shared-{next(_numbers)}") as made:
        yield made


@pytest.fixture
async def lone_world(served_kinds: ControlPlane, tmp_path: Path) -> AsyncIterator[World]:
    """A namespace with an operator of its own, which the test starts."""
    namespace = f"alone-{next(_numbers)}"
    operator = OperatorProcess(served_kinds.kubeconfig, namespace, tmp_path / "log")
    async with _world(served_kinds, operator, namespace) as made:
        yield made
    operator.stop()


@asynccontextmanager
async def _world(
    control_plane: ControlPlane, operator: OperatorProcess, namespace: str
) -> AsyncIterator[World]:
    control_plane.kubectl("create", "namespace", namespace)
    configuration = Configuration()
    await kube_config.load_kube_config(str(control_plane.kubeconfig), client_configuration=configuration)
    kube = Kube(configuration)
    kubelet = Kubelet(kube, namespace)
    playing = asyncio.create_task(kubelet.run())
    yield World(kube, control_plane.kubectl, operator, namespace, kubelet)
    control_plane.kubectl("delete", "namespace", namespace, "--wait=false", "--ignore-not-found")
    playing.cancel()
    with suppress(asyncio.CancelledError):
        await playing
    await kube.close()
