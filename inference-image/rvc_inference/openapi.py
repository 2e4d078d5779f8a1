"""The server's API described for programs: the routes as FastAPI sees them, the shapes of `rvc.contract`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from fastapi.openapi.utils import get_openapi
from starlette.routing import BaseRoute

from rvc import __version__
from rvc.contract import ConversionRequest
from rvc_inference.direct import DirectSettings

_SHAPES = msgspec.json.schema_components(
    [DirectSettings, ConversionRequest], ref_template="#/components/schemas/{name}"
)[1]

CONVERSION_BODY: dict[str, Any] = {
    "security": [{"operator": []}],
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ConversionRequest"}}},
    },
}
DIRECT_OPERATION: dict[str, Any] = {
    "summary": "Convert the recording in the body",
    "security": [{"user": []}],
    "parameters": [
        {"name": name, "in": "query", "required": False, "schema": schema}
        for name, schema in _SHAPES["DirectSettings"]["properties"].items()
    ],
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    },
}


def description(routes: Sequence[BaseRoute]) -> dict[str, Any]:
    """The OpenAPI description of the server."""
    found = get_openapi(title="RVC conversion server", version=__version__, routes=routes)
    components = found.setdefault("components", {})
    components["schemas"] = components.get("schemas", {}) | _SHAPES
    components["securitySchemes"] = {
        "operator": {"type": "apiKey", "in": "header", "name": "Authorization"},
        "user": {"type": "http", "scheme": "bearer"},
    }
    return found
