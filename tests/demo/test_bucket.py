"""The server's pod, as far as it can be tried without a cluster: its files, its commands, its environment."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from rvc_operator.api.voicemodel import VoiceModel
from tests.demo.bucket import PORT, ROOT, Bucket, server
from tests.end_to_end.world import voice

OBJECTS = {each["kind"]: each for each in server("test", "image", "voices")}
POD = OBJECTS["Pod"]["spec"]
KEYS = {"OSS_ACCESS_KEY_ID": "id", "OSS_ACCESS_KEY_SECRET": "secret"}


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """The folder that the pod finds its code in."""
    for item in POD["volumes"][1]["configMap"]["items"]:
        path = tmp_path / "code" / item["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(OBJECTS["ConfigMap"]["data"][item["key"]])
    return tmp_path / "code"


@pytest.fixture
def environment(code: Path, tmp_path: Path) -> Iterator[dict[str, str]]:
    """What a process in the pod sees, beside the running server."""
    (container,) = POD["containers"]
    options = [f"--port={0}" if option == f"--port={PORT}" else option for option in container["command"][1:]]
    options[-1] = f"--folder={tmp_path}"
    variables = os.environ | {each["name"]: each.get("value", "") for each in container["env"]} | KEYS
    running = subprocess.Popen(
        [sys.executable, "-S", *options], cwd=code, env=variables, stderr=subprocess.PIPE, text=True
    )
    try:
        assert running.stderr is not None
        port = re.fullmatch(r"listening on port (\d+)\n", running.stderr.readline())
        assert port is not None
        yield variables | {"OSS_ENDPOINT": f"http://127.0.0.1:{port[1]}", "PYTHONPATH": str(ROOT)}
    finally:
        running.terminate()
        running.communicate()


def test_files_come_out_of_the_bucket_as_they_went_in(code: Path, environment: dict[str, str]) -> None:
    def transfer(*words: str, data: bytes = b"") -> bytes:
        command = [sys.executable, "-m", "tests.demo.transfer", *words]
        return subprocess.run(
            command, cwd=code, env=environment, input=data, capture_output=True, check=True
        ).stdout

    sent = io.BytesIO()
    with tarfile.open(fileobj=sent, mode="w|") as archive:
        for name, content in {"inbox/a.txt": b"one", "inbox/b/c.txt": b"two", "outbox/d": b"three"}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    transfer("put", "oss://voices/", data=sent.getvalue())
    with tarfile.open(fileobj=io.BytesIO(transfer("get", "oss://voices/", "inbox"))) as archive:
        found = {
            entry.name: archive.extractfile(entry).read() for entry in archive.getmembers() if entry.isfile()
        }
    assert found == {"./a.txt": b"one", "./b/c.txt": b"two"}


def test_a_voice_is_moved_to_the_bucket_with_everything_that_it_names() -> None:
    moved = Bucket(None, "test", "image").moved(voice("olga", "recordings/olga"))
    moved["spec"]["storage"]["endpoint"] = "http://10.0.0.1:9000"
    stored = moved | {"metadata": moved["metadata"] | {"namespace": "test", "uid": "1"}}
    spec = VoiceModel.from_object(stored).spec
    assert (spec.dataset.uri, spec.storage.uri) == ("oss://voices/recordings/olga/", "oss://voices/models/")
    assert spec.storage.secret_ref.name == "oss-keys"


def test_no_key_is_in_the_manifests_but_the_secrets() -> None:
    assert "Secret" not in OBJECTS
    assert all("valueFrom" in each for each in POD["containers"][0]["env"] if each["name"] in KEYS)
