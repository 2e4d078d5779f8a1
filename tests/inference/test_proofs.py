"""A server believes the operator's proof and nothing else; real HTTP."""

import socket
import time
from urllib.parse import urlsplit

import httpx
import pytest

from rvc.contract import encode
from rvc.proof import Signer
from tests.fixtures.proofs import OPERATOR, POD, proof
from tests.inference.servers import Server, request

UID = "/v1/conversions/u1"
BODY = encode(request(object="pvc://data/a.wav")).encode()


def made(signer: Signer = OPERATOR, pod: str = POD, method: str = "PUT", target: str = UID, age: float = 0):
    return signer.authorization(pod, method, target, BODY, time.time() - age)


REFUSED = {
    "nothing": None,
    "a users token": "Bearer 0123456789abcdef",
    "another key": made(Signer(bytes(32))),
    "another pod": made(pod="another"),
    "another method": made(method="GET"),
    "another path": made(target="/v1/conversions/u2"),
    "expired": made(age=3600),
    "from the future": made(age=-3600),
}


def refused_in_all(server: Server) -> float:
    lines = server.client.get("/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("rvc_refused_requests_total"))


@pytest.mark.parametrize("header", REFUSED.values(), ids=REFUSED)
def test_what_is_not_the_operators_is_refused_and_counted(server, header):
    with httpx.Client(base_url=server.client.base_url, timeout=30) as stranger:
        headers = {"Authorization": header} if header else {}
        answer = stranger.put(UID, content=BODY, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "RVC-Proof"
    assert answer.json()["reason"].startswith("Proof")
    assert answer.json()["message"]
    assert server.worker.get("u1") is None
    assert refused_in_all(server) == 1


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_every_conversion_route_asks_for_a_proof(server, method):
    server.put("u1", request(object="pvc://data/a.wav"))
    with httpx.Client(base_url=server.client.base_url, timeout=30) as stranger:
        assert stranger.request(method, UID).status_code == 401
    assert server.worker.get("u1") is not None


def test_a_proof_does_not_carry_another_body(server):
    other = encode(request(object="pvc://data/other.wav")).encode()
    with httpx.Client(base_url=server.client.base_url, timeout=30) as overhearing:
        headers = {"Authorization": proof("PUT", UID, BODY)}
        answer = overhearing.put(UID, content=other, headers=headers)
    assert (answer.status_code, answer.json()["reason"]) == (401, "ProofOfOtherRequest")
    assert server.worker.get("u1") is None
    assert refused_in_all(server) == 1


def test_a_repeated_request_is_no_new_work(server):
    headers = {"Authorization": proof("PUT", UID, BODY)}
    with httpx.Client(base_url=server.client.base_url, timeout=30) as overhearing:
        answers = [overhearing.put(UID, content=BODY, headers=headers).status_code for _ in range(3)]
    assert answers == [202, 200, 200]


def test_a_body_without_proof_is_not_even_read(server):
    """The refusal comes while the body that was announced is still to be sent."""
    address = urlsplit(str(server.client.base_url))
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(f"PUT {UID} HTTP/1.1\r\nHost: pod\r\nContent-Length: 60000\r\n\r\n".encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 401 ")


def test_probes_and_metrics_are_open(server):
    with httpx.Client(base_url=server.client.base_url, timeout=30) as anybody:
        assert {anybody.get(path).status_code for path in ("/healthz", "/readyz", "/metrics")} == {200}
    assert refused_in_all(server) == 0
