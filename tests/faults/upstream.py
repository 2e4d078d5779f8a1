"""The real API server, reached with the certificate of a kubeconfig."""

import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self

import aiohttp
import yaml
from yarl import URL


class Upstream:
    """Raw requests to an API server; to be made inside an event loop."""

    def __init__(self, kubeconfig: Path) -> None:
        content = yaml.safe_load(kubeconfig.read_text())
        cluster, user = content["clusters"][0]["cluster"], content["users"][0]["user"]
        tls = ssl.create_default_context(cafile=cluster["certificate-authority"])
        tls.load_cert_chain(user["client-certificate"], user["client-key"])
        self._address = cluster["server"]
        self.authority: str = cluster["certificate-authority"]
        """File of the certificate that the server's is signed with."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls, limit=0),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    def open(self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"") -> Any:
        """A request whose answer is read by the caller, as a context manager; `path` is encoded already."""
        headers = {"Accept-Encoding": "identity"} | (headers or {})
        url = URL(self._address + path, encoded=True)
        return self._session.request(method, url, headers=headers, data=body or None)

    async def request(self, method: str, path: str, body: Any = None) -> Any:
        """Send and receive JSON; raises AssertionError for anything but success."""
        content = b"" if body is None else json.dumps(body).encode()
        async with self.open(method, path, {"Content-Type": "application/json"}, content) as answer:
            text = await answer.read()
            assert answer.status < 300, f"{method} {path}: {answer.status} {text[:500]!r}"
            return json.loads(text)

    async def watch(self, path: str) -> AsyncIterator[dict[str, Any]]:
        """Watch events for as long as the caller likes."""
        async with self.open("GET", f"{path}{'&' if '?' in path else '?'}watch=true") as answer:
            assert answer.status == 200, await answer.read()
            async for line in lines(answer.content):
                yield json.loads(line)


def proxied(folder: Path, url: str) -> Path:
    """A kubeconfig of the API server at a plain URL."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "proxy", "cluster": {"server": url}}],
        "users": [{"name": "nobody", "user": {}}],
        "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "nobody"}}],
        "current-context": "proxy",
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(content))
    return path


async def lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Lines of any length, as they come; what is cut off in the middle of a line is no line."""
    rest = b""
    async for chunk in content.iter_any():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line + b"\n"
