"""`GET /metrics` on a port of its own: the health endpoint is kopf's."""

from __future__ import annotations

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest


class Endpoint:
    """An HTTP server that answers scrapes until it is stopped."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        application = web.Application()
        application.router.add_get("/metrics", self._answer)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)

    async def start(self, port: int) -> None:
        """Listen on all addresses; raises OSError where the port is taken."""
        await self._runner.setup()
        await web.TCPSite(self._runner, port=port).start()

    async def stop(self) -> None:
        """Listen no more."""
        await self._runner.cleanup()

    async def _answer(self, _request: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )
