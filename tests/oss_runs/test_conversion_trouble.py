"""A whole conversion while the store is away for ten minutes, after each single operation of it in turn, and
while its outputs go in parts that meet with trouble.

Its server sits it out: no file fails, none is missing, none is converted twice. Waiting takes no time here,
see `outages`.
"""

import io
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import soundfile

from rvc.contract import ConversionRequest, ConversionState, StoreSettings
from rvc.store.oss import download, upload
from tests.fixtures.sounds import voice_like
from tests.inference.servers import VOICE, Copier, request, serving
from tests.oss import KEY_ID, KEY_SECRET, REGION, Fault, OssServer
from tests.oss_runs.memory import MARGIN_BYTES, most_held
from tests.oss_runs.outages import SILENT, UNAVAILABLE, Outages, wait_by
from tests.store.support import SimulatedTime

FILES = 2
PART = 128 * 1024


@pytest.fixture(autouse=True)
def keys(monkeypatch) -> None:
    monkeypatch.setenv("OSS_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("OSS_ACCESS_KEY_SECRET", KEY_SECRET)


@pytest.fixture
def oss(tmp_path) -> Iterator[OssServer]:
    with OssServer(folder=tmp_path) as oss:
        put_recordings(oss, 0.2)
        yield oss


def put_recordings(oss: OssServer, seconds: float) -> None:
    bucket = oss.buckets["voices"]
    for number in range(FILES):
        file = io.BytesIO()
        soundfile.write(file, voice_like(seconds, 150 + 10 * number), 16000, format="WAV")
        bucket.put(f"in/{number}.wav", bucket.receive(iter([file.getvalue()])), {})


def wanted(oss: OssServer, number: int) -> ConversionRequest:
    store = StoreSettings(endpoint=oss.endpoint, region=REGION)
    voice = msgspec.structs.replace(VOICE, store=store)
    return request(prefix="oss://voices/in/", output=f"oss://voices/out/{number}/", voice=voice)


def outputs(oss: OssServer, number: int) -> dict[str, bytes]:
    bucket = oss.buckets["voices"]
    prefix = f"out/{number}/"
    keys = bucket.keys()
    found = [key for key in keys if key.startswith(prefix) and "/_conversion/" not in key]
    return {key.removeprefix(prefix): b"".join(bucket.get(key).body.chunks()) for key in found}


@pytest.mark.parametrize("fault", [SILENT, UNAVAILABLE], ids=["silent", "unavailable"])
def test_ten_minutes_without_the_store_after_each_operation(oss, monkeypatch, tmp_path: Path, fault):
    clock = SimulatedTime()
    wait_by(clock, monkeypatch)
    copier = Copier()
    copier.gate.set()
    with serving(lambda *_: copier, tmp_path / "scratch") as server:

        def convert(number: int) -> None:
            """Into a folder of its own, with an outage after that operation; with none after 0."""
            before, converted = len(oss.operations), server.worker.files["Succeeded"]
            outages = Outages(oss, clock, lambda done: done.number - before == number, fault)
            server.put(f"u{number}", wanted(oss, number))
            status = server.ended(f"u{number}")
            assert (status.state, status.files.succeeded) == (ConversionState.FINISHED, FILES), status
            assert server.worker.files["Succeeded"] - converted == FILES
            assert outages.number == (number > 0)

        convert(0)
        operations, expected = len(oss.operations), outputs(oss, 0)
        assert len(expected) == FILES
        # Its last operation is the summary's: there is nothing left to be disturbed.
        for number in range(1, operations):
            begun, asked = clock.seconds, len(clock.pauses)
            convert(number)
            assert outputs(oss, number) == expected
            assert clock.seconds - begun >= 600
            assert len(clock.pauses) - asked < 100, "no busy loop"


def test_outputs_that_go_in_parts_arrive_whole(oss, monkeypatch, tmp_path: Path):
    clock = SimulatedTime()
    wait_by(clock, monkeypatch)
    monkeypatch.setattr(upload, "PART_BYTES", PART)
    monkeypatch.setattr(download, "RANGE_BYTES", PART)
    put_recordings(oss, 9.0)  # Three parts.
    copier = Copier()
    copier.gate.set()
    with serving(lambda *_: copier, tmp_path / "scratch") as server:
        server.put("u0", wanted(oss, 0))
        assert server.ended("u0").state is ConversionState.FINISHED
        oss.faults.add(
            Fault("InitiateMultipartUpload", status=503, code="SlowDown", retry_after_seconds=20),
            Fault("UploadPart", flip_byte=100, times=2),
            Fault("UploadPart", after=2, lose_answer=True, times=2),
            Fault("UploadPart", after=5, reset=True, latency_seconds=0.01),
            Fault("CompleteMultipartUpload", lose_answer=True),
            Fault("CompleteMultipartUpload", after=2, wrong_crc64=True),
            Fault("GetObject", "in/*", after=1, truncate_to_bytes=500, times=2),
            Fault("GetObject", "in/*", after=4, reset_after_bytes=500, times=2),
        )
        server.put("u1", wanted(oss, 1))
        status = server.ended("u1")
    assert (status.state, status.files.succeeded) == (ConversionState.FINISHED, FILES), status
    assert outputs(oss, 1) == outputs(oss, 0)
    assert clock.seconds < 300
    oss.faults.clear()
    assert oss.buckets["voices"].uploads() == []


MUCH = [
    Fault("GetObject", "in/*", reset_after_bytes=500, times=40),
    Fault("UploadPart", reset=True, times=30),
    Fault("UploadPart", status=503, code="SlowDown", after=30, times=10),
    Fault("PutObject", lose_answer=True, times=40),
    Fault("HeadObject", status=500, code="InternalError", times=40),
]


def test_much_trouble_takes_no_more_memory_than_none(oss, monkeypatch, tmp_path: Path):
    clock = SimulatedTime()
    wait_by(clock, monkeypatch)
    monkeypatch.setattr(upload, "PART_BYTES", 4 * PART)
    put_recordings(oss, 40.0)
    copier = Copier()
    copier.gate.set()
    with serving(lambda *_: copier, tmp_path / "scratch") as server:

        def convert(number: int) -> None:
            server.put(f"u{number}", wanted(oss, number))
            status = server.ended(f"u{number}")
            assert (status.state, status.files.succeeded) == (ConversionState.FINISHED, FILES), status

        convert(0)
        undisturbed = most_held(lambda: convert(1))
        assert clock.pauses == []
        oss.faults.add(*MUCH)
        troubled = most_held(lambda: convert(2))
    assert len(clock.pauses) > 100
    assert troubled < undisturbed + MARGIN_BYTES
    assert outputs(oss, 2) == outputs(oss, 1)
