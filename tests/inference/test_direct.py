"""Direct conversion over real HTTP, with a voice that copies."""

import io
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
import soundfile

from rvc.errors import ArtifactCorrupt
from rvc_inference import direct
from tests.fixtures.programs import eventually
from tests.fixtures.proofs import AsOperator
from tests.fixtures.sounds import voice_like
from tests.inference.servers import RATE_HERTZ, VOICE, Copier, Server, request, serving

TOKEN = "correct horse battery staple"
AS_USER = {"Authorization": f"Bearer {TOKEN}"}


def recording(seconds: float = 1.5, format: str = "FLAC") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, voice_like(seconds, 200, RATE_HERTZ), RATE_HERTZ, format=format)
    return file.getvalue()


@pytest.fixture
def token(tmp_path) -> Path:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    return path


@pytest.fixture
def scratch(tmp_path) -> Path:
    return tmp_path / "scratch"


@pytest.fixture
def server(copier, claim, scratch, token) -> Iterator[Server]:
    with serving(lambda *_: copier, scratch, VOICE, token) as server:
        server.client.auth = None
        eventually(lambda: server.client.get("/readyz").status_code == 200, "readiness")
        yield server


def convert(server: Server, content: bytes, **query: str) -> httpx.Response:
    return server.client.post("/v1/convert", content=content, headers=AS_USER, params=query)


def nothing_left(scratch: Path) -> None:
    eventually(lambda: not list(scratch.glob("direct-*")), "an empty scratch folder")


@pytest.mark.parametrize(
    ("format", "media", "start"),
    [
        ("WAV", "audio/wav", b"RIFF"),
        ("FLAC", "audio/flac", b"fLaC"),
        ("OGG", "audio/ogg", b"OggS"),
        ("MP3", "audio/mpeg", b""),
    ],
)
def test_audio_in_audio_out(server, copier, scratch, format, media, start):
    copier.gate.set()
    answer = convert(server, recording(), format=format, transposeSemitones="12")
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == media
    assert f'filename="recording.{format.lower()}"' in answer.headers["Content-Disposition"]
    assert answer.content.startswith(start)
    assert soundfile.info(io.BytesIO(answer.content)).frames == 24000
    nothing_left(scratch)


def test_parameters_and_label_reach_the_voice(server, copier):
    copier.gate.set()
    convert(server, recording(), indexRatePercent="0", automaticTranspose="true", audibleLabel="Start")
    parameters, provenance = copier.asked[-1]
    assert (parameters.index_rate_percent, parameters.automatic_transpose) == (0, True)
    assert (provenance.producer, provenance.audible) == ("tests", "Start")
    first = provenance.origin
    convert(server, recording(), indexRatePercent="1")
    assert copier.asked[-1][1].origin != first


def test_every_container_that_conversions_read_is_read(server, copier):
    copier.gate.set()
    for format in ("WAV", "FLAC", "OGG", "MP3", "AIFF"):
        answer = convert(server, recording(format=format))
        assert answer.status_code == 200, (format, answer.text)


@pytest.mark.parametrize("header", ["", "Bearer", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer \u00e9"])
def test_without_the_token_nothing_is_done(server, copier, header):
    copier.gate.set()
    headers = {"Authorization": header.encode()} if header else {}
    answer = server.client.post("/v1/convert", content=recording(), headers=headers)
    assert (answer.status_code, answer.json()["reason"]) == (401, "TokenRefused")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert not copier.asked
    assert TOKEN not in answer.text
    lines = server.client.get("/metrics").text.splitlines()
    assert 'rvc_refused_requests_total{reason="TokenRefused"} 1.0' in lines


def test_the_body_of_a_stranger_is_not_read(server):
    address = urlsplit(str(server.client.base_url))
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(b"POST /v1/convert HTTP/1.1\r\nHost: pod\r\nContent-Length: 60000\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 401 ")


def test_a_users_token_is_no_proof_of_the_operator(server):
    assert server.client.get("/v1/conversions/u1", headers=AS_USER).status_code == 401


def test_a_new_token_counts_at_once_and_the_old_one_no_more(server, copier, token):
    copier.gate.set()
    token.write_text("another token of good length")
    assert convert(server, recording()).status_code == 401
    headers = {"Authorization": "bearer another token of good length"}
    answer = server.client.post("/v1/convert", content=recording(), headers=headers)
    assert answer.status_code == 200


@pytest.mark.parametrize("content", [None, "", "short"])
def test_without_a_good_token_in_the_secret_nobody_is_let_in(server, token, content):
    token.unlink()
    if content is not None:
        token.write_text(content)
    answer = server.client.post("/v1/convert", content=b"", headers={"Authorization": f"Bearer x{content}"})
    assert (answer.status_code, answer.json()["reason"]) == (403, "DirectConversionOff")


def test_a_voice_without_token_says_what_to_set(copier, claim, scratch):
    with serving(lambda *_: copier, scratch, VOICE) as server:
        answer = server.client.post("/v1/convert", content=recording())
    assert answer.status_code == 403
    assert "spec.serving.tokenSecretRef" in answer.json()["message"]


@pytest.mark.parametrize(
    "query",
    [
        "transposeSemitones=37",
        "transposeSemitones=much",
        "transposeSemitones=1&transposeSemitones=2",
        "semitones=1",
        "format=DOC",
        "automaticTranspose=perhaps",
        "audibleLabel=",
    ],
)
def test_a_query_that_is_none_is_refused(server, query):
    answer = server.client.post(f"/v1/convert?{query}", content=recording(), headers=AS_USER)
    assert (answer.status_code, answer.json()["reason"]) == (400, "RequestInvalid")


def test_a_form_is_refused_with_advice(server):
    answer = server.client.post("/v1/convert", files={"file": recording()}, headers=AS_USER)
    assert answer.status_code == 400
    assert "--data-binary" in answer.json()["message"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "AudioEmpty"),
        (b"not sound " * 100, "AudioUndecodable"),
        (recording()[:4000], "AudioUndecodable"),
    ],
)
def test_what_is_no_recording_is_the_callers_mistake(server, copier, scratch, content, reason):
    copier.gate.set()
    answer = convert(server, content)
    assert (answer.status_code, answer.json()["reason"]) == (422, reason)
    assert str(scratch) not in answer.json()["message"]
    nothing_left(scratch)


def test_a_recording_that_is_too_large_is_refused_before_it_is_read(server, monkeypatch):
    monkeypatch.setattr(direct, "LIMIT_BYTES", 1000)
    address = urlsplit(str(server.client.base_url))
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        head = f"POST /v1/convert HTTP/1.1\r\nHost: pod\r\nAuthorization: Bearer {TOKEN}\r\n"
        connection.sendall(f"{head}Content-Length: 1001\r\n\r\n".encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_a_recording_of_unknown_size_is_refused_once_it_is_too_large(server, scratch, monkeypatch):
    monkeypatch.setattr(direct, "LIMIT_BYTES", 1000)
    parts = (b"x" * 300 for _ in range(4))
    answer = server.client.post("/v1/convert", content=parts, headers=AS_USER)
    assert (answer.status_code, answer.json()["reason"]) == (413, "RecordingTooLarge")
    nothing_left(scratch)


def test_a_small_file_with_too_much_sound_is_refused(server, copier, monkeypatch):
    monkeypatch.setattr(direct, "LIMIT_SECONDS", 60)
    copier.gate.set()
    file = io.BytesIO()
    soundfile.write(file, np.zeros(61 * 8000, np.int16), 8000, format="FLAC")
    answer = convert(server, file.getvalue())
    assert (answer.status_code, answer.json()["reason"]) == (413, "RecordingTooLarge")
    assert not copier.asked


def test_a_recording_that_comes_too_slowly_is_given_up(server, scratch, monkeypatch):
    monkeypatch.setattr(direct, "TRANSFER_SECONDS", 0.1)
    address = urlsplit(str(server.client.base_url))
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        head = f"POST /v1/convert HTTP/1.1\r\nHost: pod\r\nAuthorization: Bearer {TOKEN}\r\n"
        connection.sendall(f"{head}Content-Length: 1001\r\n\r\nslow".encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 408 ")
    nothing_left(scratch)


def test_a_busy_server_says_when_to_come_again(server, copier, scratch):
    with ThreadPoolExecutor(direct.AT_ONCE) as callers:
        waiting = [callers.submit(convert, server, recording()) for _ in range(direct.AT_ONCE)]
        eventually(lambda: len(list(scratch.glob("direct-*"))) == direct.AT_ONCE, "all places taken")
        answer = convert(server, recording())
        assert (answer.status_code, answer.json()["reason"]) == (503, "Busy")
        assert int(answer.headers["Retry-After"]) > 0
        copier.gate.set()
        assert [one.result().status_code for one in waiting] == [200] * direct.AT_ONCE
    nothing_left(scratch)
    assert convert(server, recording()).status_code == 200


def test_work_for_a_caller_who_has_gone_is_given_up(server, copier, scratch):
    content = recording()
    address = urlsplit(str(server.client.base_url))
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        head = f"POST /v1/convert HTTP/1.1\r\nHost: pod\r\nAuthorization: Bearer {TOKEN}\r\n"
        connection.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        assert copier.waiting.wait(60)
    # The gate is still closed: nothing but giving up ends the work.
    nothing_left(scratch)
    copier.gate.set()
    assert convert(server, content).status_code == 200


def test_a_caller_who_goes_while_uploading_leaves_nothing(server, scratch):
    address = urlsplit(str(server.client.base_url))
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        head = f"POST /v1/convert HTTP/1.1\r\nHost: pod\r\nAuthorization: Bearer {TOKEN}\r\n"
        connection.sendall(f"{head}Content-Length: 1001\r\n\r\nhalf".encode())
        eventually(lambda: list(scratch.glob("direct-*")), "the upload to begin")
    nothing_left(scratch)


def test_direct_conversions_take_turns_with_conversions(server, copier, claim, batch):
    copier.gate.set()
    with httpx.Client(base_url=server.client.base_url, timeout=30, auth=AsOperator()) as operator:
        Server(operator, server.worker).put("u1", request(prefix="pvc://data/in/"))
        assert convert(server, recording()).status_code == 200
        assert Server(operator, server.worker).ended("u1").files.succeeded == 3


def test_a_server_without_its_voice_says_why(claim, scratch, token):
    def damaged(*_: object) -> Copier:
        raise ArtifactCorrupt("voice.safetensors is not what the manifest says")

    with serving(damaged, scratch, VOICE, token) as server:
        server.client.auth = None

        def verdict() -> bool:
            answer = convert(server, recording())
            assert answer.status_code == 503
            assert "Retry-After" in answer.headers
            return answer.json()["reason"] == "ArtifactCorrupt"

        eventually(verdict, "the verdict")


def test_the_api_describes_itself(server):
    paths = server.client.get("/openapi.json").json()["paths"]
    named = {one["name"] for one in paths["/v1/convert"]["post"]["parameters"]}
    assert {"transposeSemitones", "format", "audibleLabel"} <= named
