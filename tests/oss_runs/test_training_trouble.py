"""A whole training attempt while the store has trouble: it is sat out, or ends the attempt with the cause,
and the next attempt publishes the undisturbed voice. Waiting takes no time here, see `outages`.
"""

import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pytest

from rvc.contract import ExitCode, TrainingRequest, TrainingResult
from rvc.errors import InvalidConfiguration, PermissionDenied, RvcError, StoreUnavailable
from rvc.exit_codes import exit_code
from rvc.voice import fetch_voice, find_published
from rvc_trainer.attempt import run_attempt
from tests.oss import KEY_ID, KEY_SECRET, Account, Fault, Operation, OssServer
from tests.oss_runs.outages import ALWAYS, SILENT, UNAVAILABLE, Outages, once_each, wait_by
from tests.oss_runs.test_training import PREFIX, bucket_with_recordings, request
from tests.store.support import SimulatedTime, open_oss

STAGES = {
    "recordings": ("GetObject", "recordings/0.wav"),
    "checkpoint": ("UploadPart", "00000002.checkpoint"),
    "voice": ("PutObject", "voice.safetensors"),
    "sweep": ("DeleteObject", "00000002.checkpoint"),
}
"""Operations after which the store goes away."""


@dataclass
class Trained:
    """A bucket, and attempts at its voice on a simulated clock."""

    server: OssServer
    clock: SimulatedTime
    folder: Path
    attempts: int = 0

    def attempt(self) -> TrainingResult:
        self.attempts += 1
        scratch = self.folder / f"scratch-{self.attempts}"
        scratch.mkdir()
        asked = msgspec.json.decode(request(self.server), type=TrainingRequest)
        return run_attempt(asked, scratch, lambda progress: None, threading.Event())

    def failed_attempt(self) -> RvcError:
        with pytest.raises(RvcError) as caught:
            self.attempt()
        return caught.value

    def digest(self) -> str | None:
        """Of the published voice, which is whole."""
        store = open_oss(self.server, SimulatedTime())
        published = find_published(store, PREFIX)
        if published is None:
            return None
        self.attempts += 1
        return fetch_voice(store, PREFIX, self.folder / f"fetched-{self.attempts}", published.digest).digest

    def checkpoints(self) -> list[str]:
        keys = self.server.buckets["voices"].keys()
        return [key.rpartition("/")[2] for key in keys if "/checkpoints/" in key]

    def mend(self) -> None:
        """Everything is well again."""
        self.server.faults.clear()
        self.server.after_operation = None
        self.server.accounts = {KEY_ID: Account(KEY_SECRET)}


@pytest.fixture
def trained(tmp_path, monkeypatch) -> Iterator[Trained]:
    monkeypatch.setenv("OSS_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("OSS_ACCESS_KEY_SECRET", KEY_SECRET)
    clock = SimulatedTime()
    wait_by(clock, monkeypatch)
    with bucket_with_recordings(tmp_path) as server:
        yield Trained(server, clock, tmp_path)


@pytest.fixture(scope="module")
def expected(tmp_path_factory) -> str:
    """Digest of the undisturbed voice."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch, bucket_with_recordings(folder) as server:
        patch.setenv("OSS_ACCESS_KEY_ID", KEY_ID)
        patch.setenv("OSS_ACCESS_KEY_SECRET", KEY_SECRET)
        return Trained(server, SimulatedTime(), folder).attempt().manifest_digest


@pytest.mark.parametrize("fault", [SILENT, UNAVAILABLE], ids=["silent", "unavailable"])
def test_ten_minutes_without_the_store_are_sat_out_at_every_stage(trained, expected, fault):
    outages = Outages(trained.server, trained.clock, once_each(*STAGES.values()), fault)
    assert trained.attempt().manifest_digest == expected == trained.digest()
    assert outages.number == len(STAGES)
    assert trained.clock.seconds >= outages.number * 600
    assert len(trained.clock.pauses) < outages.number * 100, "no busy loop"
    assert trained.checkpoints() == []


@pytest.mark.parametrize("stage", STAGES)
def test_a_longer_outage_ends_the_attempt_and_the_next_one_goes_on(trained, expected, stage, caplog):
    Outages(trained.server, trained.clock, once_each(STAGES[stage]), UNAVAILABLE, seconds=ALWAYS)
    error = trained.failed_attempt()
    assert isinstance(error, StoreUnavailable)
    assert "ServiceUnavailable" in str(error)
    assert trained.clock.seconds < 2 * 3600
    assert len(trained.server.operations) < 500, "no busy loop"
    trained.mend()
    assert trained.digest() == (expected if stage == "sweep" else None)

    caplog.set_level(logging.INFO, "rvc_trainer")
    assert trained.attempt().manifest_digest == expected == trained.digest()
    goes_on = "training goes on from a checkpoint" in caplog.messages
    assert goes_on == (stage in ("checkpoint", "voice"))
    assert trained.checkpoints() == []


PASSING = {
    "no-answers": [
        Fault(status=503, code="SlowDown", retry_after_seconds=30, after=3, times=2),
        Fault(status=500, code="InternalError", after=15, times=2),
        Fault(reset=True, after=22, times=2),
        Fault("InitiateMultipartUpload", lose_answer=True),
        Fault("UploadPart", lose_answer=True, times=2),
        Fault("CompleteMultipartUpload", lose_answer=True),
        Fault("PutObject", lose_answer=True, times=3),
        Fault("PutObject", "*/manifest.json", lose_answer=True),
        Fault("DeleteObject", lose_answer=True, times=2),
    ],
    "broken-answers": [
        Fault("GetObject", "recordings/*", reset_after_bytes=1000, times=2),
        Fault("GetObject", "recordings/*", after=2, truncate_to_bytes=40_000),
        Fault("GetObject", "recordings/*", after=3, content_length_plus=-7),
        Fault("GetObject", "recordings/*", after=4, content_length_plus=7),
        Fault("GetObject", "recordings/*", after=5, flip_byte=1000),
        Fault("ListObjectsV2", truncate_to_bytes=30, times=2),
        Fault("ListObjectsV2", after=3, reset_after_bytes=30),
    ],
    "damage-on-the-way": [
        Fault("PutObject", flip_byte=10, times=2),
        Fault("PutObject", after=4, wrong_crc64=True),
        Fault("UploadPart", flip_byte=1000, times=2),
        Fault("CompleteMultipartUpload", wrong_crc64=True),
        Fault("HeadObject", latency_seconds=0.01, times=5),
        Fault("HeadObject", skew_seconds=3600.0, after=5, times=2),
    ],
}


@pytest.mark.parametrize("name", PASSING)
def test_trouble_that_passes_changes_nothing(trained, expected, name):
    trained.server.faults.add(*PASSING[name])
    assert trained.attempt().manifest_digest == expected
    trained.mend()
    assert trained.digest() == expected
    assert trained.checkpoints() == []
    assert trained.clock.seconds < 600
    assert len(trained.server.operations) < 150


LASTING = {
    "recordings-damaged": (Fault("GetObject", "recordings/*", flip_byte=1000), StoreUnavailable, "CRC-64"),
    "uploads-damaged": (Fault("UploadPart", flip_byte=10), StoreUnavailable, "not what was sent"),
    "no-rights": (Fault("PutObject", "*.json", status=403, code="AccessDenied"), PermissionDenied, "ram"),
    "clock": (Fault(status=403, code="RequestTimeTooSkewed", after=20), StoreUnavailable, "clock"),
    "bucket-gone": (Fault(status=404, code="NoSuchBucket", after=20), InvalidConfiguration, "bucket does"),
}


@pytest.mark.parametrize("name", LASTING)
def test_trouble_that_lasts_ends_the_attempt_with_its_cause(trained, name):
    fault, kind, words = LASTING[name]
    trained.server.faults.add(replace(fault, times=ALWAYS))
    error = trained.failed_attempt()
    assert isinstance(error, kind)
    assert words in str(error)
    assert "oss://voices/" in str(error)
    assert exit_code(error) is not ExitCode.INTERNAL_ERROR
    assert trained.clock.seconds < 2 * 3600
    assert len(trained.server.operations) < 300, "no busy loop"
    trained.mend()
    assert trained.digest() is None


def test_credentials_that_come_back_let_the_next_attempt_go_on(trained, expected, caplog):
    trained.server.faults.add(Fault(expire_token=True, after=20, times=ALWAYS))
    error = trained.failed_attempt()
    assert isinstance(error, PermissionDenied)
    assert "the session of the access key has ended" in str(error)
    assert "00000001.json" in trained.checkpoints()
    trained.mend()
    caplog.set_level(logging.INFO, "rvc_trainer")
    assert trained.attempt().manifest_digest == expected == trained.digest()
    assert "training goes on from a checkpoint" in caplog.messages


def test_a_recording_that_goes_after_the_listing_is_named_and_the_next_attempt_lists_again(trained, expected):
    bucket = trained.server.buckets["voices"]
    bucket.put("recordings/2.wav", bucket.get("recordings/0.wav").body, {})

    def remove(operation: Operation) -> None:
        if operation.name == "ListObjectsV2" and operation.key == "recordings/":
            bucket.delete("recordings/2.wav")

    trained.server.after_operation = remove
    error = trained.failed_attempt()
    assert (exit_code(error), error.reason) == (ExitCode.STORE_UNAVAILABLE, "DatasetChanged")
    assert "oss://voices/recordings/2.wav was removed" in str(error)
    trained.mend()
    assert trained.attempt().manifest_digest == expected == trained.digest()


def test_a_damaged_checkpoint_gives_way_and_the_voice_is_the_same(trained, expected, caplog):
    trained.server.faults.add(Fault("PutObject", "*/voice.safetensors", status=403, code="AccessDenied"))
    assert isinstance(trained.failed_attempt(), PermissionDenied)
    bucket = trained.server.buckets["voices"]
    key = max(each for each in bucket.keys() if each.endswith(".checkpoint"))  # noqa: SIM118
    found = bucket.get(key)
    content = bytearray(b"".join(found.body.chunks()))
    content[len(content) // 2] ^= 1
    bucket.put(key, bucket.receive(iter([bytes(content)])), found.metadata)
    trained.mend()
    caplog.set_level(logging.INFO, "rvc_trainer")
    assert trained.attempt().manifest_digest == expected == trained.digest()
    assert "checkpoint skipped" in caplog.messages
    assert "training goes on from a checkpoint" in caplog.messages
