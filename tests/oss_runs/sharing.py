"""One Conversion of many files over OSS, shared by servers of which some are killed on the way.

The operator's own reconciler gives the work out over HTTP, to server processes with a real voice, which read
and write the OSS server of the tests. `python -m tests.oss_runs.sharing 10000` does it with as many files and
prints what was measured; a test does it with fewer.
"""

from __future__ import annotations

import asyncio
import io
import json
import resource
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import soundfile

from rvc.base_models import default_folder
from rvc.contract import (
    BASE_MODELS_FOLDER_VARIABLE,
    SERVED_VOICE_VARIABLE,
    SERVER_PORT,
    StoreSettings,
    VoiceReference,
    encode,
)
from rvc.proof import POD_UID_VARIABLE
from rvc.voice import Voice, publish_voice
from rvc_operator.api.names import SERVER_CONTAINER
from rvc_operator.metrics.meters import Meters
from rvc_operator.runtime.cache import Body, Cache, Key, Kind
from rvc_operator.runtime.conversions import Conversions
from rvc_operator.runtime.pods import Pods
from rvc_operator.runtime.shell import Shell
from tests.fixtures.programs import Program
from tests.fixtures.proofs import OPERATOR
from tests.fixtures.sounds import voice_like
from tests.fixtures.voices import humming_voice
from tests.operator import factory
from tests.operator.api_server import ApiServer
from tests.operator.manifests import conversion_spec, voice_spec
from tests.operator.stand_ins import free_address
from tests.operator.test_conversion_plan import available
from tests.operator.test_serving_plan import REVISION
from tests.oss import KEY_ID, KEY_SECRET, REGION, Operation, OssServer
from tests.store.support import SimulatedTime, open_oss

PARALLELISM = 4
KILLED_AT = (0.25, 0.55)
"""Shares of the files that are done when a server is killed."""
WARM_UP = 0.4
"""Share of a server's files after which its memory is looked at."""
MOST_GROWTH_BYTES = 48 << 20
"""From the end of the warm-up to the most that it ever held; its list of results is in it."""
DIFFERENT_SOUNDS = 16
SECONDS_OF_SOUND = 0.1
OUT, RECORDS = "converted/", "converted/_conversion/uid-hello/"
PATIENCE_SECONDS = 1200
"""Without any progress."""


class Pod:
    """A server process behind an address of its own, as a pod has one."""

    def __init__(self, name: str, folder: Path, served: VoiceReference) -> None:
        self.name = name
        self.served = served
        self.ip = free_address()
        self._body: Body = msgspec.to_builtins(factory.server(name, REVISION))
        environment = {
            POD_UID_VARIABLE: self._body["metadata"]["uid"],
            SERVED_VOICE_VARIABLE: encode(served),
            BASE_MODELS_FOLDER_VARIABLE: str(default_folder()),
            "OSS_ACCESS_KEY_ID": KEY_ID,
            "OSS_ACCESS_KEY_SECRET": KEY_SECRET,
        }
        self.program = Program("rvc_inference", folder / name, environment)
        self.ready = False
        self.memory: list[tuple[int, int]] = []
        """Files done by it and bytes of resident memory, look by look."""
        self._port = 0
        self._door: asyncio.Server | None = None

    async def open(self) -> None:
        """Forward the contract's port at the pod's address to the process, once it listens and is ready."""
        line = await asyncio.to_thread(self.program.logged_or_ended, "server listens")
        self._port = line["port"]
        self._door = await asyncio.start_server(self._forward, self.ip, SERVER_PORT)
        await asyncio.to_thread(self.program.logged_or_ended, "voice loaded")
        self.ready = True

    async def close(self) -> None:
        """End it with SIGKILL, wherever it is."""
        self.program.process.kill()
        await asyncio.to_thread(self.program.process.wait)
        if self._door is not None:
            self._door.close()

    def body(self) -> Body:
        """The pod as the API server shows it."""
        variable = {"name": SERVED_VOICE_VARIABLE, "value": encode(self.served)}
        container = {"name": SERVER_CONTAINER, "env": [variable]}
        status = self._body["status"] | {"podIP": self.ip}
        return self._body | {"spec": {"containers": [container]}, "status": status}

    def look_at_memory(self, done: int) -> None:
        """Note how much it holds after so many files."""
        pages = int(Path(f"/proc/{self.program.process.pid}/statm").read_text().split()[1])
        self.memory.append((done, pages * resource.getpagesize()))

    async def _forward(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        try:
            far, there = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            back.close()
            return
        await asyncio.gather(_pump(near, there), _pump(far, back), return_exceptions=True)


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while chunk := await source.read(1 << 16):
            target.write(chunk)
            await target.drain()
    finally:
        target.close()


@dataclass
class Report:
    """What came of it."""

    files: int
    seconds: float
    """From the first servers' readiness to the end."""
    status: Body
    outputs: list[str]
    """Names of what lies beside the records."""
    results: list[dict]
    """Lines of results.jsonl."""
    summary: dict
    versions: dict[str, set[str]]
    """Of each output, the digests that it was ever published with."""
    writes: int
    """Times that any output was published."""
    killed: list[str]
    memory: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    """Of each server that lived from the beginning to the end."""

    def growth(self) -> dict[str, int]:
        """Bytes of memory by which each server came to hold more than after the warm-up."""
        return {name: _growth(name, looks) for name, looks in self.memory.items()}


def _growth(name: str, looks: list[tuple[int, int]]) -> int:
    done = looks[-1][0] if looks else 0
    warm = [look for look in looks if look[0] >= WARM_UP * done]
    assert len({files for files, _ in warm}) > 1, f"{name} was not looked at after its warm-up: {looks}"
    return max(held for _, held in warm) - warm[0][1]


class Sharing:
    """A bucket, a voice, and an operator with a pool of servers."""

    def __init__(self, folder: Path, voice: Voice, files: int) -> None:
        self.folder = folder
        self.files = files
        self.oss = OssServer(["voices"], folder=folder)
        self.oss.after_operation = self._note
        self._voice = voice
        self._versions: dict[str, set[str]] = defaultdict(set)
        self._writes = 0
        self._pods: list[Pod] = []
        self._numbers = 0
        self._killed: list[str] = []
        self._begun = 0.0

    def run(self) -> Report:
        """Convert everything."""
        with self.oss:
            served = self._fill()
            status = asyncio.run(self._operate(served))
            return self._report(time.monotonic() - self._begun, status)

    def _note(self, operation: Operation) -> None:
        bucket, key = self.oss.buckets["voices"], operation.key
        output = key.startswith(OUT) and not key.startswith(RECORDS)
        if output and operation.name == "PutObject" and operation.status == 200:
            self._versions[key.removeprefix(OUT)].add(bucket.get(key).etag)
            self._writes += 1

    def _fill(self) -> VoiceReference:
        bucket = self.oss.buckets["voices"]
        for number in range(DIFFERENT_SOUNDS):
            file = io.BytesIO()
            soundfile.write(file, voice_like(SECONDS_OF_SOUND, 150 + 10 * number), 16000, format="WAV")
            body = bucket.receive(iter([file.getvalue()]))
            for one in range(number, self.files, DIFFERENT_SOUNDS):
                bucket.put(f"inbox/{one // 1000:02}/{one:05}.wav", body, {})
        digest, _ = publish_voice(self._voice.folder, open_oss(self.oss, SimulatedTime()), "models/alice/")
        store = StoreSettings(endpoint=self.oss.endpoint, region=REGION)
        return VoiceReference("oss://voices/models/alice/", digest, REVISION, store=store)

    async def _operate(self, served: VoiceReference) -> Body:
        """Reconcile until the Conversion has ended; its status then."""
        api = ApiServer()
        kube, pods = await api.start(), Pods(OPERATOR)
        shell = Shell(factory.CONFIG, Cache(), kube, pods, lambda: factory.NOW, lambda change: None, Meters())

        def put(kind: Kind, body: Body) -> Key:
            shell.record(kind, api.put(kind, body))
            return Key(kind, "test", body["metadata"]["name"])

        put(Kind.VOICE, available() | {"spec": voice_spec(serving={"maxReplicas": PARALLELISM})})
        spec = conversion_spec(
            input={"prefix": "oss://voices/inbox/"},
            output={"prefix": f"oss://voices/{OUT}"},
            parallelism=PARALLELISM,
        )
        key = put(Kind.CONVERSION, factory.conversion(spec))
        conversions = Conversions(shell)
        replacements: list[asyncio.Task[None]] = []
        try:
            await asyncio.gather(*(self._start_pod(served) for _ in range(PARALLELISM)))
            self._begun = time.monotonic()
            progress = 0, self._begun
            while True:
                for pod in self._pods:
                    if pod.ready and shell.cache.get(Key(Kind.POD, "test", pod.name)) is None:
                        put(Kind.POD, pod.body())
                await conversions.reconcile(key)
                status: Body = api.objects[key]["status"]
                if "completionTime" in status:
                    return status
                done = self._look(status)
                if done > progress[0]:
                    progress = done, time.monotonic()
                assert time.monotonic() - progress[1] < PATIENCE_SECONDS, (status, self._logs())
                due = len(self._killed) < len(KILLED_AT) and done >= KILLED_AT[len(self._killed)] * self.files
                if due and (lost := self._one_at_work(status)) is not None:
                    self._pods.remove(lost)
                    await lost.close()
                    self._killed.append(lost.name)
                    shell.cache.remove(Kind.POD, lost.body())
                    replacements.append(asyncio.create_task(self._start_pod(served)))
                await asyncio.sleep(0.2)
        finally:
            await asyncio.gather(*replacements, return_exceptions=True)
            await asyncio.gather(*(pod.close() for pod in self._pods))
            await pods.close()
            await kube.close()
            await api.stop()

    async def _start_pod(self, served: VoiceReference) -> None:
        self._numbers += 1
        pod = Pod(f"server-{self._numbers}", self.folder, served)
        self._pods.append(pod)
        await pod.open()

    def _one_at_work(self, status: Body) -> Pod | None:
        names = [shard["assignment"]["pod"] for shard in status["shards"] if "assignment" in shard]
        return next((pod for pod in self._pods if pod.name in names), None)

    def _look(self, status: Body) -> int:
        """Note the memory of each server at work; how many files are done."""
        for shard in status.get("shards", []):
            name = shard.get("assignment", {}).get("pod")
            for pod in self._pods:
                if pod.name == name:
                    pod.look_at_memory(shard["files"]["succeeded"])
        return int(status.get("files", {}).get("succeeded", 0))

    def _logs(self) -> str:
        return "\n".join(json.dumps(pod.program.log()[-3:]) for pod in self._pods)

    def _report(self, seconds: float, status: Body) -> Report:
        bucket = self.oss.buckets["voices"]
        keys = list(filter(lambda key: key.startswith(OUT), bucket.keys()))

        def content(name: str) -> bytes:
            return b"".join(bucket.get(RECORDS + name).body.chunks())

        return Report(
            files=self.files,
            seconds=seconds,
            status=status,
            outputs=[key.removeprefix(OUT) for key in keys if not key.startswith(RECORDS)],
            results=[json.loads(line) for line in content("results.jsonl").splitlines()],
            summary=json.loads(content("results.json")),
            versions=self._versions,
            writes=self._writes,
            killed=self._killed,
            memory={pod.name: pod.memory for pod in self._pods[: PARALLELISM - len(KILLED_AT)]},
        )


def require_whole(report: Report) -> None:
    """Raise unless every file was converted, none is missing anywhere, and none is there twice."""
    names = [f"{number // 1000:02}/{number:05}.wav" for number in range(report.files)]
    assert report.outputs == names
    assert [line["source"]["name"] for line in report.results] == names
    assert {line["outcome"] for line in report.results} == {"Succeeded"}
    everything = {"total": report.files, "succeeded": report.files, "failed": 0, "skipped": 0}
    assert report.status["files"] == report.summary["files"] == everything
    assert all(shard["finished"] for shard in report.status["shards"])
    assert len(report.status["shards"]) == PARALLELISM
    assert set(report.versions) == set(names)
    twice = {name: versions for name, versions in report.versions.items() if len(versions) > 1}
    assert twice == {}, "what was written again was another thing"
    assert len(report.killed) == len(KILLED_AT)
    for name, grown in report.growth().items():
        assert grown < MOST_GROWTH_BYTES, f"{name} grew by {grown} bytes after its warm-up"


def main() -> None:
    """Run it and print what was measured."""
    files = int(sys.argv[1])
    folder = Path(tempfile.mkdtemp(prefix="sharing-"))
    (folder / "voice").mkdir()
    try:
        report = Sharing(folder, humming_voice(folder / "voice", default_folder()), files).run()
    finally:
        shutil.rmtree(folder)
    require_whole(report)
    print(f"{files} files in {report.seconds:.0f} s, {report.writes - files} written again")
    for name, grown in report.growth().items():
        looks = report.memory[name]
        first, last = (held / 2**20 for held in (looks[0][1], looks[-1][1]))
        print(
            f"{name}: {looks[-1][0]} files, RSS {first:.0f} to {last:.0f} MiB, +{grown >> 10} KiB when warm"
        )


if __name__ == "__main__":
    main()
