"""Conversions over OSS while it has trouble: retried to the end, or ended with the cause."""

import io
import json
import math
import time
from collections.abc import Iterator

import msgspec
import pytest
import soundfile

from rvc.contract import ConversionRequest, ConversionState, StoreSettings, VoiceReference
from rvc.store.oss import store as oss_store
from rvc.store.oss.retry import RetryPolicy
from rvc_inference.loader import load_voice
from tests.fixtures.sounds import voice_like
from tests.inference.servers import VOICE, Server, request, serving
from tests.oss import KEY_ID, KEY_SECRET, REGION, Account, Fault, Operation, OssServer

ALWAYS = math.inf
FILES = 6
OUTPUTS = [f"out/{number}.wav" for number in range(FILES)]


@pytest.fixture
def oss(monkeypatch, tmp_path) -> Iterator[OssServer]:
    monkeypatch.setenv("OSS_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("OSS_ACCESS_KEY_SECRET", KEY_SECRET)
    with OssServer(folder=tmp_path) as oss:
        for number in range(FILES):
            file = io.BytesIO()
            soundfile.write(file, voice_like(1, 150 + 10 * number), 16000, format="WAV")
            put(oss, f"in/{number}.wav", file.getvalue())
        yield oss


@pytest.fixture
def server(copier, oss, tmp_path) -> Iterator[Server]:
    copier.gate.set()
    with serving(lambda *_: copier, tmp_path / "scratch") as server:
        yield server


@pytest.fixture
def impatient(monkeypatch) -> None:
    monkeypatch.setattr(oss_store, "RetryPolicy", lambda: RetryPolicy(seconds=0.5))


def put(oss: OssServer, key: str, content: bytes) -> None:
    bucket = oss.buckets["voices"]
    bucket.put(key, bucket.receive(iter([content])), {})


def wanted(oss: OssServer) -> ConversionRequest:
    store = StoreSettings(endpoint=oss.endpoint, region=REGION)
    voice = msgspec.structs.replace(VOICE, store=store)
    return request(prefix="oss://voices/in/", output="oss://voices/out/", voice=voice)


def outputs(oss: OssServer) -> list[str]:
    keys = oss.buckets["voices"].keys()
    return [key for key in keys if key.startswith("out/") and "/_conversion/" not in key]


def results(oss: OssServer, uid: str = "u1") -> list[dict]:
    body = oss.buckets["voices"].get(f"out/_conversion/{uid}/results.jsonl").body
    return [json.loads(line) for line in b"".join(body.chunks()).splitlines()]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=503, code="SlowDown", after=5, times=2),
        Fault(reset=True, after=9, times=2),
        Fault("PutObject", "out/*.wav", lose_answer=True),
        Fault("GetObject", "in/*", truncate_to_bytes=1000, times=2),
        Fault("GetObject", "in/*", reset_after_bytes=1000, times=2),
        Fault("GetObject", "in/*", content_length_plus=-7),
        Fault("GetObject", "in/*", flip_byte=1000),
        Fault("PutObject", "out/*.wav", flip_byte=1000),
        Fault("PutObject", wrong_crc64=True),
        Fault(skew_seconds=3600.0, after=20, times=2),
    ],
    ids=repr,
)
def test_passing_trouble_costs_no_file(server, oss, fault):
    oss.faults.add(fault)
    server.put("u1", wanted(oss))
    status = server.ended("u1")
    assert (status.state, status.files.succeeded) == (ConversionState.FINISHED, FILES), status
    assert outputs(oss) == OUTPUTS
    assert len(results(oss)) == FILES


@pytest.mark.parametrize("after", [0, 4, 8, 12, 20])
def test_a_session_that_ends_is_said_and_the_next_try_goes_on(server, oss, after):
    oss.faults.add(Fault(expire_token=True, after=after, times=ALWAYS))
    server.put("u1", wanted(oss))
    status = server.ended("u1")
    assert (status.state, status.reason) == (ConversionState.FAILED, "PermissionDenied")
    assert status.retriable
    assert "the session of the access key has ended" in status.message
    oss.faults.clear()
    server.put("u1", wanted(oss))
    assert server.ended("u1").files.succeeded == FILES
    assert outputs(oss) == OUTPUTS


@pytest.mark.parametrize("after", [0, 4, 8, 12, 20])
@pytest.mark.usefixtures("impatient")
def test_a_store_that_stays_away_ends_the_conversion_once_and_soon(server, oss, after):
    oss.faults.add(Fault(status=503, code="ServiceUnavailable", after=after, times=ALWAYS))
    server.put("u1", wanted(oss))
    status = server.ended("u1")
    assert (status.state, status.reason, status.retriable) == (
        ConversionState.FAILED,
        "StoreUnavailable",
        True,
    )
    assert "ServiceUnavailable" in status.message
    asked = len(oss.operations) - after
    assert asked < 30, "no busy loop"
    oss.faults.clear()
    server.put("u1", wanted(oss))
    assert server.ended("u1").files.succeeded == FILES
    assert outputs(oss) == OUTPUTS


@pytest.mark.usefixtures("impatient")
def test_one_object_that_cannot_be_read_does_not_hold_up_the_others(server, oss):
    oss.faults.add(Fault("GetObject", "in/1.wav", status=500, code="InternalError", times=ALWAYS))
    server.put("u1", wanted(oss))
    status = server.ended("u1")
    assert (status.state, status.reason) == (ConversionState.FAILED, "StoreUnavailable")
    assert "in/1.wav" in status.message
    assert outputs(oss) == [name for name in OUTPUTS if name != "out/1.wav"]


def test_a_deleted_conversion_does_not_wait_for_its_store(server, oss):
    oss.faults.add(Fault(status=503, code="SlowDown", retry_after_seconds=300, times=ALWAYS))
    begun = len(oss.operations)
    server.put("u1", wanted(oss))
    while len(oss.operations) == begun:
        time.sleep(0.01)
    server.client.delete("/v1/conversions/u1")
    oss.faults.clear()
    server.put("u2", wanted(oss))
    assert server.ended("u2").files.succeeded == FILES


def test_an_input_that_is_not_what_was_uploaded_fails_alone(server, oss):
    bucket = oss.buckets["voices"]
    found = bucket.get("in/2.wav")
    bucket.put("in/2.wav", found.body, {"x-oss-meta-sha256": "0" * 64})
    server.put("u1", wanted(oss))
    status = server.ended("u1")
    assert (status.files.succeeded, status.files.failed) == (FILES - 1, 1)
    (failure,) = status.failures
    assert (failure.key, failure.reason) == ("2.wav", "ArtifactCorrupt")


def test_another_conversion_of_the_same_files_does_what_is_left(server, oss):
    server.put("u1", wanted(oss))
    server.ended("u1")
    file = io.BytesIO()
    soundfile.write(file, voice_like(1, 333), 16000, format="WAV")
    put(oss, "in/3.wav", file.getvalue())
    oss.buckets["voices"].delete("out/4.wav")
    put(oss, "out/_conversion/broken/results.jsonl", b"{")
    converted = server.worker.files["Succeeded"]
    server.put("u2", wanted(oss))
    assert server.ended("u2").files.succeeded == FILES
    assert server.worker.files["Succeeded"] == converted + 2
    assert outputs(oss) == OUTPUTS
    assert len(results(oss, "u2")) == FILES


def test_what_is_done_stays_noted_when_the_next_server_ends_early(server, oss):
    server.put("u1", wanted(oss))
    server.ended("u1")
    server.client.delete("/v1/conversions/u1")
    oss.faults.add(Fault("HeadObject", "out/3.wav", expire_token=True))
    server.put("u1", wanted(oss))
    assert server.ended("u1").state is ConversionState.FAILED
    assert len(results(oss)) == FILES


def test_rights_that_are_missing_are_named(server, oss):
    oss.accounts[KEY_ID] = Account(KEY_SECRET, allows=lambda operation, key: not key.startswith("out/"))
    server.put("u1", wanted(oss))
    status = server.ended("u1")
    assert (status.state, status.reason, status.retriable) == (
        ConversionState.FAILED,
        "PermissionDenied",
        True,
    )
    assert "manifests/ram" in status.message
    assert KEY_SECRET not in status.message


def test_no_right_to_read_the_inputs_fails_none_of_them(server, oss):
    read = ("GetObject", "HeadObject")
    oss.accounts[KEY_ID] = Account(
        KEY_SECRET, allows=lambda operation, key: not (operation in read and key.startswith("in/"))
    )
    server.put("u1", wanted(oss))
    status = server.ended("u1")
    assert (status.state, status.reason, status.retriable) == (
        ConversionState.FAILED,
        "PermissionDenied",
        True,
    )
    assert (status.files.failed, status.failures) == (0, ())
    assert "in/0.wav" in status.message
    assert "manifests/ram" in status.message


@pytest.mark.parametrize("code", ["AccessDenied", "InvalidAccessKeyId"])
def test_a_key_that_is_refused_for_a_moment_costs_no_file(server, oss, code):
    oss.faults.add(Fault("GetObject", "in/3.wav", status=403, code=code))
    server.put("u1", wanted(oss))
    status = server.ended("u1")
    assert (status.reason, status.retriable, status.files.failed) == ("PermissionDenied", True, 0), status
    assert [line["outcome"] for line in results(oss)] == ["Succeeded"] * 3
    server.put("u1", wanted(oss))
    status = server.ended("u1")
    assert (status.state, status.files.succeeded) == (ConversionState.FINISHED, FILES), status
    assert outputs(oss) == OUTPUTS


def test_an_object_that_is_replaced_while_it_is_read_counts_as_changed(server, oss):
    body = oss.buckets["voices"].get("in/5.wav").body

    def replace(operation: Operation) -> None:
        if (operation.name, operation.key) == ("GetObject", "in/1.wav"):
            oss.after_operation = None
            oss.buckets["voices"].put("in/1.wav", body, {})

    oss.after_operation = replace
    oss.faults.add(Fault("GetObject", "in/1.wav", reset_after_bytes=100))
    server.put("u1", wanted(oss))
    status = server.ended("u1")
    assert (status.state, status.files.succeeded) == (ConversionState.FINISHED, FILES - 1), status
    assert [(failure.key, failure.reason) for failure in status.failures] == [("1.wav", "InputChanged")]
    assert "out/1.wav" not in outputs(oss)


def test_a_shutdown_does_not_wait_for_the_store_of_a_voice(oss, tmp_path):
    oss.faults.add(Fault(status=503, code="SlowDown", retry_after_seconds=300, times=ALWAYS))
    served = VoiceReference("oss://voices/ann/", VOICE.manifest_digest, "0", store=wanted(oss).voice.store)
    with serving(load_voice, tmp_path / "scratch", served=served):
        while not oss.operations:
            time.sleep(0.01)
