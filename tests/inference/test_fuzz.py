"""Requests made from the server's own OpenAPI description, valid and not: no 5xx but busy, and no hang."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fixtures.programs import eventually
from tests.fixtures.proofs import AsOperator
from tests.inference.servers import VOICE, Copier, Server, serving
from tests.inference.test_direct import AS_USER, recording

CLEAR = {"reason", "message"}
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "token").write_text(AS_USER["Authorization"].removeprefix("Bearer "))
    copier = Copier()
    copier.gate.set()
    patch = pytest.MonkeyPatch()
    patch.setenv("RVC_CLAIMS_FOLDER", str(folder / "claims"))
    (folder / "claims" / "data").mkdir(parents=True)
    with serving(lambda *_: copier, folder / "scratch", VOICE, folder / "token") as server:
        eventually(lambda: server.client.get("/readyz").status_code == 200, "readiness")
        yield server
    patch.undo()
    assert not list(Path(folder / "scratch").glob("direct-*"))


@pytest.fixture(scope="module")
def described(server: Server) -> dict[str, Any]:
    found: dict[str, Any] = server.client.get("/openapi.json").json()
    return found


def values(schema: dict[str, Any], components: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values of a JSON schema, as OpenAPI has it."""
    if "$ref" in schema:
        return values(components[schema["$ref"].rpartition("/")[2]], components)
    if "anyOf" in schema:
        return st.one_of([values(one, components) for one in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema.get("type"):
        case "integer":
            return st.integers(schema.get("minimum", -(2**40)), schema.get("maximum", 2**40))
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
        case "object":
            fields = {name: values(one, components) for name, one in schema.get("properties", {}).items()}
            needed = set(schema.get("required", ()))
            return st.fixed_dictionaries(
                {name: one for name, one in fields.items() if name in needed},
                optional={name: one for name, one in fields.items() if name not in needed},
            )
        case "array":
            return st.lists(values(schema.get("items", {}), components), max_size=3)
        case "string":
            return TEXT
    return TEXT | st.integers() | st.none()


def is_clear(answer: httpx.Response) -> None:
    assert answer.status_code < 500 or (answer.status_code, answer.json()["reason"]) == (503, "Busy")
    if answer.status_code >= 400:
        assert answer.json().keys() == CLEAR, answer.text
        assert "Traceback" not in answer.text


@QUICK
@given(data=st.data())
def test_direct_conversion(server: Server, described: dict[str, Any], data: st.DataObject) -> None:
    operation, components = described["paths"]["/v1/convert"]["post"], described["components"]["schemas"]
    valid = {one["name"]: values(one["schema"], components) for one in operation["parameters"]}
    query = data.draw(st.fixed_dictionaries({}, optional=valid))
    query |= data.draw(st.just({}) | st.dictionaries(st.sampled_from(sorted(valid)) | TEXT, TEXT, max_size=2))
    good = recording(0.5)
    cut = st.integers(0, len(good)).map(lambda end: good[:end])
    body = data.draw(st.just(good) | cut | st.binary(max_size=2000) | st.just(good[:60] + b"\xff" * 400))
    headers = AS_USER | data.draw(
        st.sampled_from([{}, {"Range": "bytes=1-"}, {"Content-Type": "multipart/form-data"}])
    )
    text = {name: str(value) for name, value in query.items()}
    is_clear(server.client.post("/v1/convert", params=text, content=body, headers=headers, auth=None))


@QUICK
@given(data=st.data())
def test_conversions(server: Server, described: dict[str, Any], data: st.DataObject) -> None:
    components = described["components"]["schemas"]
    wanted = values(components["ConversionRequest"], components)
    json = st.recursive(
        st.none() | st.booleans() | st.integers() | TEXT,
        lambda one: st.lists(one) | st.dictionaries(TEXT, one),
    )
    body = data.draw(wanted | json)
    uid = data.draw(st.from_regex(r"[A-Za-z0-9-]{1,8}", fullmatch=True) | TEXT)
    shard = data.draw(st.none() | st.integers(-1, 3).map(str) | TEXT)
    method = data.draw(st.sampled_from(["PUT", "PUT", "GET", "DELETE", "POST", "PATCH"]))
    query = {} if shard is None else {"shard": shard}
    url = f"/v1/conversions/{quote(uid, safe='')}"
    is_clear(server.client.request(method, url, params=query, json=body, auth=AsOperator()))


@QUICK
@given(
    st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS"]),
    st.sampled_from(["/", "/v1/convert", "/v1/conversions", "/v1/conversions/u", "/metrics", "/readyz"])
    | TEXT.map("/{}".format),
    st.binary(max_size=100),
    st.none() | st.from_regex(r"[!-~]([ -~]{0,40}[!-~])?", fullmatch=True),
)
def test_strangers(server: Server, method: str, path: str, body: bytes, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    answer = server.client.request(method, quote(path), content=body, headers=headers, auth=None)
    assert answer.status_code < 500


def test_the_server_is_well_afterwards(server: Server) -> None:
    answer = server.client.post("/v1/convert", content=recording(), headers=AS_USER, auth=None)
    assert answer.status_code == 200, answer.text
    assert server.client.get("/healthz").status_code == 200
