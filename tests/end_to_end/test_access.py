"""Who is answered by the servers of a voice, on a real node: the operator, and callers with the token."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from rvc.proof import SEED_BYTES, Refusal, Signer
from tests.end_to_end.world import GROUP, World, conversion, voice

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
print(json.dumps([answer.status, content[:20000].decode("latin-1"), answer.headers["Content-Type"]]))
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
    """Status, beginning and type of what the server answers."""
    command = ("python3", "-c", ASK, method, path, authorization, file)
    text = world.kubectl("exec", "-n", world.namespace, f"deployment/{name}-server", "--", *command)
    return list(json.loads(text))


@pytest.mark.parametrize("authorization", ["", f"Bearer {TOKEN}", "RVC-Proof e30.AAAA"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_conversions_are_the_operators_alone(
    world: World, carla: str, method: str, authorization: str
) -> None:
    assert ask(world, carla, method, "/v1/conversions/u1", authorization)[0] == 401


@pytest.fixture(scope="module")
def key(world: World) -> Signer:
    """The operator's key pair."""
    secret = world.kubectl.json("get", "secret", "rvc-operator-key", "-n", "rvc-system")
    return Signer(base64.b64decode(secret["data"]["ed25519"]))


@pytest.fixture(scope="module")
def pod(world: World, carla: str) -> str:
    """Uid of the pod that is asked."""
    [server] = world.list("pods", f"{GROUP}/voice={carla},{GROUP}/component=server")
    return str(server["metadata"]["uid"])


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"age": 3600}, Refusal.EXPIRED),
        ({"target": "/v1/conversions/u2"}, Refusal.OTHER_REQUEST),
        ({"method": "GET"}, Refusal.OTHER_REQUEST),
        ({"audience": "another-pod"}, Refusal.OTHER_REQUEST),
        ({"signer": Signer(bytes(SEED_BYTES))}, Refusal.OTHER_KEY),
    ],
    ids=["expired", "another path", "another method", "another pod", "another key"],
)
def test_a_proof_of_the_operator_is_for_one_request_at_one_time(
    world: World, carla: str, key: Signer, pod: str, wrong: dict[str, Any], reason: Refusal
) -> None:
    def signed(
        signer: Signer = key,
        audience: str = pod,
        method: str = "DELETE",
        target: str = "/v1/conversions/u1",
        age: float = 0,
    ) -> str:
        return signer.authorization(audience, method, target, b"", time.time() - age)

    before = refused(world, carla, reason)
    status, content, _ = ask(world, carla, "DELETE", "/v1/conversions/u1", signed(**wrong))
    assert (status, json.loads(content)["reason"]) == (401, reason)
    assert refused(world, carla, reason) == before + 1
    # The very same request with all of it right is let in, and nothing of that name is found.
    assert ask(world, carla, "DELETE", "/v1/conversions/u1", signed())[0] == 404


def refused(world: World, name: str, reason: Refusal) -> float:
    """How many requests the server has refused for a reason."""
    text = ask(world, name, "GET", "/metrics", "")[1]
    counted = [
        line.split()[-1] for line in text.splitlines() if line.startswith("rvc_refused") and reason in line
    ]
    return sum(map(float, counted))


def test_the_operator_is_believed(world: World, carla: str) -> None:
    world.apply(conversion("signed", carla, input={"object": "pvc://voices/inbox/greeting.wav"}))
    world.until_ready("conversion", "signed")


def test_callers_with_the_token_convert_directly(world: World, carla: str) -> None:
    file = "/mnt/claims/voices/inbox/greeting.wav"
    converted = ask(world, carla, "POST", "/v1/convert?format=FLAC", f"Bearer {TOKEN}", file)
    assert (converted[0], converted[1][:4], converted[2]) == (200, "fLaC", "audio/flac")
    assert ask(world, carla, "POST", "/v1/convert", "Bearer guessed", file)[0] == 401
