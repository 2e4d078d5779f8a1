"""Namespaces of one real API server, many at a time, each with a proxy and an operator of its own.

One listing of all pods feeds the scripted kubelets of all places, and one watch of all Jobs sees to it that
no voice ever has two live ones.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

from kubernetes.aio import config as kube_config
from kubernetes.aio.client import Configuration

from rvc_operator.api.names import (
    COMPONENT_LABEL,
    MANAGED_BY_LABEL,
    MANAGER,
    VOICE_LABEL,
    Component,
)
from rvc_operator.runtime.cache import Kind
from rvc_operator.runtime.kube import Kube
from rvc_operator.runtime.operator import utc_now
from tests.cluster.control_plane import ControlPlane
from tests.operator.kubelet import Kubelet
from tests.operator.world import World

from .operator import LocalOperator
from .proxy import FaultProxy
from .upstream import Upstream

OURS = f"{MANAGED_BY_LABEL}={MANAGER}"
LOOK_SECONDS = 0.1
_numbers = count(1)


class Place(World):
    """A namespace with an operator behind a proxy; `kube` is the test's own, undisturbed connection."""

    operator: LocalOperator
    proxy: FaultProxy
    look_seconds = 0.2


class Places:
    """All namespaces of a test."""

    def __init__(self, control_plane: ControlPlane, kube: Kube, upstream: Upstream) -> None:
        self._control_plane = control_plane
        self._kube = kube
        self.upstream = upstream
        self._kubelets: dict[str, Kubelet] = {}
        self._live: dict[tuple[str, str], set[str]] = {}
        self.doubled: list[str] = []
        """Voices that had two live Jobs at some instant, and which."""

    @asynccontextmanager
    async def open(self, now: Callable[[], datetime] = utc_now, **settings: Any) -> AsyncIterator[Place]:
        """A new namespace; its operator is to be started by the caller."""
        namespace = f"faults-{next(_numbers)}"
        await self.upstream.request("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
        proxy = FaultProxy(self.upstream)
        await proxy.start()
        kubelet = self._kubelets[namespace] = Kubelet(self._kube, namespace)
        operator = LocalOperator(proxy.url, self.upstream.authority, namespace, now, **settings)
        place = Place(self._kube, self._control_plane.kubectl, operator, namespace, kubelet)  # type: ignore[arg-type]
        place.proxy = proxy
        try:
            yield place
        finally:
            await operator.stop()
            await proxy.stop()
            del self._kubelets[namespace]
            await kubelet.stop()
            await self.upstream.request("DELETE", f"/api/v1/namespaces/{namespace}")

    async def play(self) -> None:
        """Be the kubelet of all places."""
        while True:
            by_namespace: dict[str, list[dict[str, Any]]] = {name: [] for name in self._kubelets}
            for body in (await self._kube.list(Kind.POD, "", OURS))[0]:
                by_namespace.get(body["metadata"]["namespace"], []).append(body)
            for namespace, bodies in by_namespace.items():
                if namespace in self._kubelets:
                    await self._kubelets[namespace].see(bodies)
            await asyncio.sleep(LOOK_SECONDS)

    async def watch_jobs(self) -> None:
        """Look at every state that any Job ever has."""
        path = f"/apis/batch/v1/jobs?labelSelector={OURS}"
        async for event in self.upstream.watch(path):
            metadata, status = event["object"]["metadata"], event["object"].get("status", {})
            if metadata["labels"][COMPONENT_LABEL] != Component.TRAINER:
                continue
            voice = metadata["namespace"], metadata["labels"][VOICE_LABEL]
            live = self._live.setdefault(voice, set())
            ended = any(
                one["type"] in ("Complete", "Failed") and one["status"] == "True"
                for one in status.get("conditions", [])
            )
            if event["type"] == "DELETED" or ended:
                live.discard(metadata["name"])
            else:
                live.add(metadata["name"])
            if len(live) > 1:
                self.doubled.append(f"{voice}: {sorted(live)}")


@asynccontextmanager
async def places(control_plane: ControlPlane) -> AsyncIterator[Places]:
    """Places on a control plane, with kubelet and watch at work; a voice with two live Jobs is an error."""
    configuration = Configuration()
    await kube_config.load_kube_config(str(control_plane.kubeconfig), client_configuration=configuration)
    kube = Kube(configuration)
    async with Upstream(Path(control_plane.kubeconfig)) as upstream:
        made = Places(control_plane, kube, upstream)
        tasks = [asyncio.create_task(made.play()), asyncio.create_task(made.watch_jobs())]
        yield made
        for task in tasks:
            assert not task.done(), task.exception()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await kube.close()
        assert made.doubled == []
