"""Reading and writing Kubernetes objects as plain dicts, with errors as types."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from kubernetes.aio import config as kube_config
from kubernetes.aio.client import ApiClient, Configuration

from rvc_operator.api.names import MANAGER

from .cache import Body, Key, Kind

TIMEOUT_SECONDS = 30
TOO_MANY_REQUESTS = 429
PAGE_SIZE = 500
JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"


class ApiError(Exception):
    """The API server refused a request."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class NotFound(ApiError):
    """There is no such object, or no such resource."""


class Conflict(ApiError):
    """The object exists already, or is not what the caller thinks it is."""


ERRORS: Mapping[int, type[ApiError]] = {404: NotFound, 409: Conflict}


async def client_configuration() -> Configuration:
    """How to reach the API server: from the service account inside a cluster, else from the kubeconfig."""
    configuration = Configuration()
    try:
        kube_config.load_incluster_config(  # type: ignore[no-untyped-call]
            client_configuration=configuration
        )
    except kube_config.ConfigException:
        await kube_config.load_kube_config(  # type: ignore[no-untyped-call]
            client_configuration=configuration
        )
    return configuration


class Kube:
    """Requests to one API server; objects are dicts as in their YAML."""

    def __init__(
        self, configuration: Configuration, requested: Callable[[str, int | None], None] | None = None
    ) -> None:
        """`requested` is told the method of every request and the status of its answer, None for none."""
        self._client = ApiClient(configuration)
        self._requested = requested or (lambda _verb, _code: None)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()  # type: ignore[no-untyped-call]

    async def list(self, kind: Kind, namespace: str, selector: str = "") -> tuple[list[Body], str]:
        """All objects of a kind in a namespace (in all if empty), and the resource version of that answer."""
        query = {"limit": str(PAGE_SIZE)} | ({"labelSelector": selector} if selector else {})
        objects: list[Body] = []
        while True:
            page = await self._request("GET", _path(kind, namespace), query=query)
            objects += page["items"]
            following = page["metadata"].get("continue")
            if not following:
                return objects, page["metadata"]["resourceVersion"]
            query["continue"] = following

    async def get(self, key: Key) -> Body:
        """The object as it is now; raises NotFound."""
        return await self._request("GET", _path(key.kind, key.namespace, key.name))

    async def create(self, kind: Kind, manifest: Body) -> Body:
        """Create an object; raises Conflict if there is one of that name."""
        namespace = manifest["metadata"]["namespace"]
        return await self._request("POST", _path(kind, namespace), manifest, query=_as_us())

    async def apply(self, kind: Kind, manifest: Body) -> Body:
        """Create or update an object by server-side apply: what we no longer say is removed."""
        metadata = manifest["metadata"]
        path = _path(kind, metadata["namespace"], metadata["name"])
        query = _as_us() | {"force": "true"}
        return await self._request("PATCH", path, manifest, query=query, content_type=APPLY_PATCH)

    async def patch(self, key: Key, patch: Body, subresource: str = "") -> Body:
        """Merge a patch into an object or subresource; raises Conflict if it names another version."""
        path = _path(key.kind, key.namespace, key.name, subresource)
        return await self._request("PATCH", path, patch, query=_as_us(), content_type=MERGE_PATCH)

    async def delete(self, key: Key, uid: str) -> Body | None:
        """Delete exactly that object, after its dependents; what is left of it, None if it is gone."""
        options = {"preconditions": {"uid": uid}, "propagationPolicy": "Foreground"}
        try:
            left = await self._request("DELETE", _path(key.kind, key.namespace, key.name), options)
        except (NotFound, Conflict):
            # Gone, or replaced by another of the same name, which is not the one that was meant.
            return None
        return left if "resourceVersion" in left["metadata"] and "uid" in left["metadata"] else None

    async def post_event(self, manifest: Body) -> None:
        """Create an Event of the events.k8s.io API."""
        path = f"/apis/events.k8s.io/v1/namespaces/{manifest['metadata']['namespace']}/events"
        await self._request("POST", path, manifest)

    async def secret(self, namespace: str, name: str) -> Body:
        """A Secret as it is now; raises NotFound."""
        return await self._request("GET", f"/api/v1/namespaces/{namespace}/secrets/{name}")

    async def patch_secret(self, namespace: str, name: str, patch: Body) -> Body:
        """Merge a patch into a Secret; raises Conflict if it names another version."""
        path = f"/api/v1/namespaces/{namespace}/secrets/{name}"
        return await self._request("PATCH", path, patch, query=_as_us(), content_type=MERGE_PATCH)

    async def _request(
        self,
        method: str,
        path: str,
        body: Body | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
    ) -> Body:
        request = await self._client.param_serialize(
            method,
            path,
            query_params=list((query or {}).items()),
            header_params={"Accept": JSON, "Content-Type": content_type},
            body=body,
            auth_settings=["BearerToken"],
        )
        code: int | None = None
        try:
            response = await self._client.call_api(*request, _request_timeout=TIMEOUT_SECONDS)
            content = await response.read()  # type: ignore[no-untyped-call]
            code = response.status
        finally:
            self._requested(method, code)
        if not 200 <= response.status < 300:
            raise ERRORS.get(response.status, ApiError)(response.status, _message(content))
        result: Body = json.loads(content)
        return result


def _path(kind: Kind, namespace: str, name: str = "", subresource: str = "") -> str:
    scope = f"/namespaces/{namespace}" if namespace else ""
    parts = "".join(f"/{part}" for part in (name, subresource) if part)
    return f"{kind.prefix}{scope}/{kind.plural}{parts}"


def _as_us() -> dict[str, str]:
    return {"fieldManager": MANAGER}


def _message(content: bytes) -> str:
    try:
        status: Any = json.loads(content)
        return str(status["message"])
    except (ValueError, KeyError, TypeError):
        return content.decode(errors="replace")[:500]
