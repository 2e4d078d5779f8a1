"""As much of an API server as reconcilers ask for, over a real socket: objects, versions and conflicts.

The cluster tests use a real one; this one is for races that a real one shows only now and then.
"""

from typing import Any

import msgspec
from aiohttp import web
from kubernetes.aio.client import Configuration

from rvc_operator.runtime.cache import Body, Key, Kind, key_of
from rvc_operator.runtime.kube import Kube

from .stand_ins import free_address
from .test_status_patch import apply_patch

PORT = 8001
KINDS = {kind.plural: kind for kind in Kind}


class ApiServer:
    """Objects by kind, namespace and name."""

    def __init__(self) -> None:
        self.objects: dict[Key, Body] = {}
        self._version = 1
        self._ip = free_address()
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)

    async def start(self) -> Kube:
        await self._runner.setup()
        await web.TCPSite(self._runner, self._ip, PORT).start()
        return Kube(Configuration(host=f"http://{self._ip}:{PORT}"))

    async def stop(self) -> None:
        await self._runner.cleanup()

    def put(self, kind: Kind, body: Body) -> Body:
        """Store an object under a new version."""
        self._version += 1
        stored = body | {"metadata": body["metadata"] | {"resourceVersion": str(self._version)}}
        self.objects[key_of(kind, stored)] = stored
        return stored

    async def _handle(self, request: web.Request) -> web.Response:
        _, _, rest = request.path.partition("/namespaces/")
        namespace, plural, *name = rest.split("/")
        if plural not in KINDS:
            return web.json_response({}, status=201)
        content = msgspec.json.decode(await request.read() or b"{}")
        kind = KINDS[plural]
        key = key_of(kind, content) if request.method == "POST" else Key(kind, namespace, name[0])
        there = self.objects.get(key)
        if request.method == "POST":
            return _conflict() if there is not None else web.json_response(self.put(kind, content))
        if there is None:
            return web.json_response({"message": "not found"}, status=404)
        return self._patched(kind, there, content) if request.method == "PATCH" else web.json_response(there)

    def _patched(self, kind: Kind, there: Body, patch: dict[str, Any]) -> web.Response:
        version = there["metadata"]["resourceVersion"]
        if patch.get("metadata", {}).get("resourceVersion", version) != version:
            return _conflict()
        return web.json_response(self.put(kind, apply_patch(there, patch)))


def _conflict() -> web.Response:
    return web.json_response({"message": "conflict"}, status=409)
