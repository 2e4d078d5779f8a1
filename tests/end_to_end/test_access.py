"""Who is answered by the servers of a voice, on a real node: the operator, and callers with the token."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.end_to_end.world import World, conversion, voice

pytestmark = [pytest.mark.node, pytest.mark.timeout(1800)]
TOKEN = "correct horse battery staple"
ASK = """
import json, sys, urllib.error, urllib.request
method, path, authorization, file = sys.argv[1:]
body = open(file, "rb").read() if file else None
headers = {"Authorization": authorization} if authorization else {}
request = urllib.request.Request("http://127.0.0.1:8080" + path, body, headers, method=method)
try:
    answer = urllib.request.urlopen(request, timeout=300)
except urllib.error.HTTPError as error:
    answer = error
content = answer.read()
print(json.dumps([answer.status, content[:4].decode("latin-1"), answer.headers["Content-Type"]]))
"""
"""Run inside the server's pod, whose image has nothing but Python to ask with."""


@pytest.fixture(scope="module")
def carla(world: World) -> Iterator[str]:
    """A voice with a server that is kept and lets callers in."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "callers"},
        "stringData": {"token": TOKEN},
    }
    wanted = voice("carla", "recordings/allison", epochs=1)
    wanted["spec"]["serving"] = {"minReplicas": 1, "tokenSecretRef": {"name": "callers"}}
    world.apply(secret, wanted)
    world.until_ready("voicemodel", "carla")

    def serves() -> bool:
        status = world.get("voicemodel", "carla")["status"]
        return bool(status["serving"].get("readyReplicas"))

    world.wait_until("carla's server", serves)
    yield "carla"
    world.kubectl("delete", "voicemodel", "carla", "-n", world.namespace, "--timeout=60s")


def ask(world: World, name: str, method: str, path: str, authorization: str, file: str = "") -> list[Any]:
    """Status, first letters and type of what the server answers."""
    command = ("python3", "-c", ASK, method, path, authorization, file)
    text = world.kubectl("exec", "-n", world.namespace, f"deployment/{name}-server", "--", *command)
    return list(json.loads(text))


@pytest.mark.parametrize("authorization", ["", f"Bearer {TOKEN}", "RVC-Proof e30.AAAA"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_conversions_are_the_operators_alone(
    world: World, carla: str, method: str, authorization: str
) -> None:
    assert ask(world, carla, method, "/v1/conversions/u1", authorization)[0] == 401


def test_the_operator_is_believed(world: World, carla: str) -> None:
    world.apply(conversion("signed", carla, input={"object": "pvc://voices/inbox/greeting.wav"}))
    world.until_ready("conversion", "signed")


def test_callers_with_the_token_convert_directly(world: World, carla: str) -> None:
    file = "/mnt/claims/voices/inbox/greeting.wav"
    converted = ask(world, carla, "POST", "/v1/convert?format=FLAC", f"Bearer {TOKEN}", file)
    assert converted == [200, "fLaC", "audio/flac"]
    assert ask(world, carla, "POST", "/v1/convert", "Bearer guessed", file)[0] == 401
