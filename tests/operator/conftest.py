"""Fixtures: the CRDs on a control plane, and a world of its own for every test."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest
from kubernetes.aio import config as kube_config
from kubernetes.aio.client import Configuration

from rvc_operator.runtime.kube import Kube
from tests.cluster.control_plane import ControlPlane

from .kubelet import Kubelet
from .world import REPOSITORY, World

_numbers = count(1)


@pytest.fixture(scope="session")
def served_kinds(control_plane: ControlPlane) -> ControlPlane:
    """A control plane that knows our kinds."""
    crds = str(REPOSITORY / "crds")
    control_plane.kubectl("apply", "--validate=false", "-k", crds)
    kinds = ("crd/voicemodels.voice.rvc.dev", "crd/conversions.voice.rvc.dev")
    control_plane.kubectl("wait", "--for=condition=Established", *kinds, "--timeout=60s")
    return control_plane


@pytest.fixture
async def world(served_kinds: ControlPlane, tmp_path: Path) -> AsyncIterator[World]:
    """A namespace with a scripted kubelet; the test starts the operator."""
    namespace = f"test-{next(_numbers)}"
    served_kinds.kubectl("create", "namespace", namespace)
    configuration = Configuration()
    await kube_config.load_kube_config(str(served_kinds.kubeconfig), client_configuration=configuration)
    kube = Kube(configuration)
    kubelet = Kubelet(kube, namespace)
    playing = asyncio.create_task(kubelet.run())
    made = World(kube, served_kinds.kubectl, served_kinds.kubeconfig, namespace, tmp_path, kubelet)
    yield made
    if made.operator_is_running():
        made.stop_operator()
    playing.cancel()
    with suppress(asyncio.CancelledError):
        await playing
    await kube.close()
    served_kinds.kubectl("delete", "namespace", namespace, "--wait=false")
