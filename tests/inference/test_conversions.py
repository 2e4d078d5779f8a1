"""Conversions over HTTP, from PUT to DELETE, with a voice that copies."""

import json
import os
import subprocess
import threading
from pathlib import Path

import msgspec
import pytest
import soundfile

from rvc.contract import (
    AudioFormat,
    ConversionState,
    ConversionStatus,
    FileCounts,
    encode,
)
from rvc.errors import ArtifactCorrupt, StoreUnavailable
from rvc_inference.results import ResultsFolder
from tests.fixtures.programs import eventually
from tests.fixtures.sounds import voice_like
from tests.inference.servers import Copier, Server, request, serving

OUTPUTS = ["a.wav", "b.wav", "deep/c.wav"]


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def outputs(claim: Path) -> list[str]:
    folder = claim / "out"
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in found if not name.startswith("_conversion/"))


def test_one_file_from_put_to_delete(server, copier, claim):
    soundfile.write(claim / "a.wav", voice_like(1.5, 200), 16000)
    copier.gate.set()
    wanted = request(object="pvc://data/a.wav", audio_format=AudioFormat.FLAC)
    assert server.client.get("/v1/conversions/u1").status_code == 404

    assert server.put("u1", wanted).status_code == 202
    status = server.ended("u1")
    assert status == ConversionStatus(
        state=ConversionState.FINISHED,
        files=FileCounts(total=1, succeeded=1),
        results_uri="pvc://data/out/_conversion/u1/results.json",
    )
    assert soundfile.info(claim / "out/a.flac").frames == 24000
    summary = json.loads((claim / "out/_conversion/u1/results.json").read_text())
    assert summary["files"] == {"total": 1, "succeeded": 1, "failed": 0, "skipped": 0}
    assert summary["audioSeconds"] == 1.5

    again = server.put("u1", wanted)
    assert again.status_code == 200
    assert msgspec.json.decode(again.content, type=ConversionStatus) == status
    assert server.client.delete("/v1/conversions/u1").status_code == 204
    assert server.client.delete("/v1/conversions/u1").status_code == 404
    assert (claim / "out/a.flac").exists()


def test_another_request_for_the_same_uid_is_a_conflict(server, claim):
    server.put("u1", request(object="pvc://data/a.wav"))
    answer = server.put("u1", request(object="pvc://data/b.wav"))
    assert answer.status_code == 409
    assert answer.json()["reason"] == "Conflict"


def test_a_batch_goes_on_past_its_bad_files(server, copier, claim, batch):
    copier.gate.set()
    server.put("u1", request(prefix="pvc://data/in/"))
    status = server.ended("u1")
    assert status.state is ConversionState.FINISHED
    assert status.files == FileCounts(total=7, succeeded=3, failed=4)
    assert {failure.key: failure.reason for failure in status.failures} == {
        "nan.wav": "AudioNotFinite",
        "silent.wav": "AudioSilent",
        "text.wav": "AudioUndecodable",
        "zero.wav": "AudioEmpty",
    }
    assert all(str(claim.parents[1]) not in failure.message for failure in status.failures)
    assert outputs(claim) == OUTPUTS
    results = lines(claim / "out/_conversion/u1/results.jsonl")
    assert len(results) == 8
    assert [line["source"]["name"] for line in results if line["outcome"] == "Skipped"] == ["README.txt"]


def test_a_second_conversion_does_not_read_the_records_of_the_first(server, copier, claim, batch):
    copier.gate.set()
    for uid, output in (
        ("u1", "pvc://data/in/out/"),
        ("u2", "pvc://data/in/out/"),
        ("u3", "pvc://data/out/"),
    ):
        server.put(uid, request(prefix="pvc://data/in/", output=output))
        status = server.ended(uid)
        assert status.files.total == (10 if uid == "u3" else 7), status


def test_rights_on_one_file_are_its_own(server, copier, claim, batch):
    """As with a mode that refuses; a link out of the volume refuses root, too."""
    (batch / "link.wav").symlink_to(claim.parent / "outside.wav")
    (claim.parent / "outside.wav").write_bytes((batch / "a.wav").read_bytes())
    copier.gate.set()
    server.put("u1", request(prefix="pvc://data/in/"))
    status = server.ended("u1")
    assert status.state is ConversionState.FINISHED
    assert {failure.key: failure.reason for failure in status.failures}["link.wav"] == "PermissionDenied"
    assert outputs(claim) == OUTPUTS


def test_inputs_that_come_later_do_not_join(server, copier, claim, batch):
    server.put("u1", request(prefix="pvc://data/in/"))
    copier.waiting.wait()
    soundfile.write(batch / "later.wav", voice_like(1, 200), 16000)
    (batch / "deep/c.ogg").unlink()
    soundfile.write(batch / "b.flac", voice_like(2, 300), 16000)
    copier.gate.set()
    status = server.ended("u1")
    assert status.files.total == 7
    assert outputs(claim) == ["a.wav"]
    reasons = {failure.key: failure.reason for failure in status.failures}
    assert (reasons["b.flac"], reasons["deep/c.ogg"]) == ("InputChanged", "InputRemoved")


@pytest.mark.parametrize(
    ("wanted", "reason", "words"),
    [
        (request(object="pvc://data/missing.wav"), "InputNotFound", "missing.wav is not there"),
        (request(prefix="pvc://data/missing/"), "InputInvalid", "no recordings below pvc://data/missing/"),
        (request(prefix="pvc://data/texts/"), "InputInvalid", "1 other files"),
        (request(object="pvc://other/a.wav"), "ClaimNotMounted", "claim other is not mounted"),
        (request(object="pvc://data/texts/"), "ConfigurationInvalid", "input.prefix"),
        (request(prefix="pvc://data/texts"), "ConfigurationInvalid", "must end in /"),
        (request(), "ConfigurationInvalid", "exactly one"),
        (request(object="pvc://data/x.wav", prefix="pvc://data/"), "ConfigurationInvalid", "exactly one"),
        (
            request(object="pvc://data/x.wav", output="pvc://data/out"),
            "ConfigurationInvalid",
            "must end in /",
        ),
        (
            request(prefix="pvc://data/loud/", output="pvc://data/loud/"),
            "ConfigurationInvalid",
            "overwritten",
        ),
    ],
)
def test_what_cannot_be_done_fails_as_a_whole_and_for_good(server, claim, wanted, reason, words):
    for folder in ("texts", "loud"):
        (claim / folder).mkdir()
    (claim / "texts/a.txt").write_text("a")
    soundfile.write(claim / "loud/a.wav", voice_like(1, 200), 16000)
    assert server.put("u1", wanted).status_code == 202
    status = server.ended("u1")
    assert (status.state, status.reason, status.retriable) == (ConversionState.FAILED, reason, False)
    assert words in status.message
    assert server.put("u1", wanted).status_code == 200


def test_credentials_that_are_missing_may_come(server):
    wanted = request(object="oss://bucket/a.wav")
    server.put("u1", wanted)
    status = server.ended("u1")
    assert (status.state, status.reason) == (ConversionState.FAILED, "CredentialsMissing")
    assert status.retriable


def test_a_single_file_does_not_wait_for_a_batch(server, copier, claim, batch):
    soundfile.write(claim / "single.wav", voice_like(1, 200), 16000)
    for number in range(20):
        soundfile.write(batch / f"more{number:02}.wav", voice_like(0.5, 200), 16000)
    server.put("batch", request(prefix="pvc://data/in/"))
    copier.waiting.wait()
    server.put("single", request(object="pvc://data/single.wav", output="pvc://data/out2/"))
    copier.gate.set()
    server.ended("single")
    assert server.status("batch").files.succeeded < 20


def test_a_deleted_conversion_stops_in_the_middle_of_a_file(server, copier, claim, batch):
    server.put("u1", request(prefix="pvc://data/in/"))
    copier.waiting.wait()
    assert server.client.delete("/v1/conversions/u1").status_code == 204
    assert server.client.get("/v1/conversions/u1").status_code == 404
    soundfile.write(claim / "other.wav", voice_like(1, 200), 16000)
    server.put("u2", request(object="pvc://data/other.wav"))

    def begun() -> bool:
        return server.status("u2").state is ConversionState.RUNNING

    eventually(begun, "the next conversion")
    copier.gate.set()
    assert server.ended("u2").state is ConversionState.FINISHED
    assert outputs(claim) == ["other.wav"]


def test_closing_abandons_the_file_under_way_and_keeps_what_is_done(copier, claim, batch, tmp_path):
    class Third(Copier):
        """Waits at the third file."""

        def convert(self, *arguments, **named):
            if len(self.converted) == 2:
                self.gate.clear()
            self.converted.append("")
            return super().convert(*arguments, **named)

    third = Third()
    third.gate.set()
    with serving(lambda *_: third, tmp_path / "scratch") as server:
        server.put("u1", request(prefix="pvc://data/in/"))

        def stuck() -> bool:
            return server.status("u1").files.succeeded == 2

        eventually(stuck, "two files")
    assert outputs(claim) == OUTPUTS[:2]
    assert not (claim / "out/_conversion/u1/results.json").exists()
    done = lines(claim / "out/_conversion/u1/results.jsonl")
    assert {line["source"]["name"] for line in done if line["outcome"] == "Succeeded"} == {"a.wav", "b.flac"}
    assert list((tmp_path / "scratch").rglob("*.wav")) == []


def test_the_next_server_redoes_nothing_that_is_done(server, copier, claim, batch, tmp_path):
    copier.gate.set()
    wanted = request(prefix="pvc://data/in/")
    server.put("u1", wanted)
    first = server.ended("u1")
    (claim / "out/b.wav").write_bytes(b"damaged")
    kept = (claim / "out/a.wav").stat().st_mtime_ns
    counted = server.worker.files.copy()

    with serving(lambda *_: copier, tmp_path / "next") as following:
        following.put("u1", wanted)
        assert following.ended("u1") == first
        assert following.worker.files["Succeeded"] == 1, counted
    assert (claim / "out/a.wav").stat().st_mtime_ns == kept
    assert soundfile.info(claim / "out/b.wav").frames == 17600


def test_other_parameters_are_other_work(server, copier, claim, batch, tmp_path):
    copier.gate.set()
    server.put("u1", request(prefix="pvc://data/in/"))
    server.ended("u1")
    server.client.delete("/v1/conversions/u1")
    server.put("u1", request(prefix="pvc://data/in/", transpose_semitones=2))
    server.ended("u1")
    assert server.worker.files["Succeeded"] == 6


def test_a_voice_that_is_corrupt_fails_for_good_and_one_out_of_reach_for_now(claim, copier, tmp_path):
    copier.gate.set()
    soundfile.write(claim / "a.wav", voice_like(1, 200), 16000)
    trouble = {
        "ArtifactCorrupt": ArtifactCorrupt("bad digest"),
        "StoreUnavailable": StoreUnavailable("no answer"),
    }

    def load(reference, folder, sleep):
        if reference.revision in trouble:
            raise trouble[reference.revision]
        return copier

    with serving(load, tmp_path / "scratch") as server:
        for reason, retriable in (("ArtifactCorrupt", False), ("StoreUnavailable", True)):
            voice = msgspec.structs.replace(request().voice, revision=reason)
            wanted = request(object="pvc://data/a.wav", voice=voice)
            server.put(reason, wanted)
            status = server.ended(reason)
            assert (status.state, status.reason) == (ConversionState.FAILED, reason)
            assert status.retriable is retriable
            del trouble[reason]
            assert server.put(reason, wanted).status_code == (202 if retriable else 200)
        assert server.ended("StoreUnavailable").state is ConversionState.FINISHED


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a small volume")
def test_a_full_volume_that_is_enlarged_costs_nothing(server, copier, claim, batch):
    copier.gate.set()
    out = claim / "out"
    out.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", out], check=True)
    try:
        server.put("u1", request(prefix="pvc://data/in/"))
        status = server.ended("u1")
        assert (status.state, status.reason, status.retriable) == (
            ConversionState.FAILED,
            "StoreUnavailable",
            True,
        )
        assert "the volume is full" in status.message
        subprocess.run(["mount", "-o", "remount,size=4m", out], check=True)
        server.put("u1", request(prefix="pvc://data/in/"))
        assert server.ended("u1").files.succeeded == 3
        assert outputs(claim) == OUTPUTS
    finally:
        subprocess.run(["umount", out], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a small volume")
@pytest.mark.parametrize("size", ["16k", "48k"], ids=["inputs-do-not-fit", "outputs-do-not-fit"])
def test_a_full_disk_of_the_server_is_no_files_fault(copier, claim, tmp_path, size):
    copier.gate.set()
    (claim / "in").mkdir()
    for number in range(3):
        soundfile.write(claim / f"in/{number}.wav", voice_like(1, 200 + number), 16000)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", scratch], check=True)
    try:
        with serving(lambda *_: copier, scratch) as server:
            server.put("u1", request(prefix="pvc://data/in/"))
            status = server.ended("u1")
            assert (status.state, status.reason) == (ConversionState.FAILED, "StoreUnavailable"), status
            assert status.retriable
            assert status.files.failed == 0
            assert str(scratch) in status.message
            subprocess.run(["mount", "-o", "remount,size=4m", scratch], check=True)
            server.put("u1", request(prefix="pvc://data/in/"))
            assert server.ended("u1").files.succeeded == 3
    finally:
        subprocess.run(["umount", scratch], check=True)


def test_a_file_that_kills_servers_is_given_up(server, copier, claim, batch):
    copier.gate.set()
    folder = claim / "out/_conversion/u1"
    folder.mkdir(parents=True)
    (folder / "begun.json").write_text('{"name": "b.flac", "times": 3}\n')
    server.put("u1", request(prefix="pvc://data/in/"))
    status = server.ended("u1")
    assert {failure.key: failure.reason for failure in status.failures}["b.flac"] == "ServerDied"
    assert status.files.succeeded == 2
    assert not (folder / "begun.json").exists()


def test_an_unexpected_error_costs_one_file(claim, batch, tmp_path):
    class Fragile(Copier):
        def convert(self, input, output, *arguments, **named):
            if input.suffix == ".flac":
                raise ZeroDivisionError("division by zero")
            return super().convert(input, output, *arguments, **named)

    fragile = Fragile()
    fragile.gate.set()
    with serving(lambda *_: fragile, tmp_path / "scratch") as server:
        server.put("u1", request(prefix="pvc://data/in/"))
        status = server.ended("u1")
        assert status.files.succeeded == 2
        assert {failure.key: failure.reason for failure in status.failures}["b.flac"] == "InternalError"
        assert server.client.get("/healthz").status_code == 200


def test_answers_come_while_audio_is_converted(server, copier, claim, batch):
    server.put("u1", request(prefix="pvc://data/in/"))
    copier.waiting.wait()
    assert server.status("u1").state is ConversionState.RUNNING
    assert server.client.get("/healthz").status_code == 200
    metrics = server.client.get("/metrics").text.splitlines()
    assert 'rvc_conversions{state="Running"} 1.0' in metrics
    copier.gate.set()
    server.ended("u1")
    metrics = server.client.get("/metrics").text.splitlines()
    assert 'rvc_conversion_files_total{result="Succeeded"} 3.0' in metrics
    assert 'rvc_conversion_files_total{result="Failed"} 4.0' in metrics
    assert "rvc_converted_audio_seconds_total 3.3" in metrics


@pytest.mark.parametrize(
    ("method", "path", "body", "code", "reason"),
    [
        ("PUT", "/v1/conversions/u1", b"{", 400, "RequestInvalid"),
        ("PUT", "/v1/conversions/u1", b"{}", 400, "RequestInvalid"),
        ("PUT", "/v1/conversions/u1", encode(request())[:-1] + ',"surprise":1}', 400, "RequestInvalid"),
        ("PUT", "/v1/conversions/u1", b" " * 70000, 413, "RequestTooLarge"),
        ("PUT", "/v1/conversions/..%2fescape", b"{}", 404, "NotFound"),
        ("PUT", "/v1/conversions/_conversion", b"{}", 400, "RequestInvalid"),
        ("GET", "/v1/conversions/u1", b"", 404, "ConversionUnknown"),
        ("POST", "/v1/conversions/u1", b"", 405, "MethodNotAllowed"),
        ("GET", "/docs", b"", 404, "NotFound"),
    ],
)
def test_errors_have_a_reason_and_a_message(server: Server, method, path, body, code, reason):
    answer = server.client.request(method, path, content=body)
    assert (answer.status_code, answer.json()["reason"]) == (code, reason)
    assert answer.json()["message"]


def test_many_requests_at_once_are_one_conversion(server, copier, claim):
    soundfile.write(claim / "a.wav", voice_like(1, 200), 16000)
    codes: list[int] = []
    wanted = request(object="pvc://data/a.wav")
    threads = [
        threading.Thread(target=lambda: codes.append(server.put("u1", wanted).status_code)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == [200] * 7 + [202]
    copier.gate.set()
    server.ended("u1")
    assert server.worker.files["Succeeded"] == 1


def unavailable(*_: object) -> None:
    raise StoreUnavailable("no answer")


def test_a_note_that_cannot_be_taken_back_costs_no_outcome(server, copier, claim, batch, monkeypatch):
    monkeypatch.setattr(ResultsFolder, "forget_begun", unavailable)
    copier.gate.set()
    server.put("u1", request(prefix="pvc://data/in/"))
    status = server.ended("u1")
    assert (status.state, status.files.succeeded) == (ConversionState.FINISHED, 3)
