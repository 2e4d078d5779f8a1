"""The operator and 1,000 VoiceModels, each with five Conversions (`VOICES=50` tries it in some minutes).

Every voice gets its training Job, whose pod waits for a node that never comes; its Conversions wait for the
voice. The same is done by `operator_kopf`, a minimal operator of kopf's high-level handlers. Both get a fresh
control plane without a node, which shares the machine's cores with the operator and with this program; writes
are counted by the API server itself.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import Any, Self

from benchmarks.bench import Bench, Figure
from rvc_operator.api.names import MANAGED_BY_LABEL, MANAGER, VOICE_LABEL
from tests.cluster.control_plane import ControlPlane
from tests.faults.upstream import Upstream

ROOT = Path(__file__).resolve().parent.parent
VOICES = int(os.environ.get("VOICES", "1000"))
CONVERSIONS_PER_VOICE = 5
CHILD_EVENTS = 200
QUIET_SECONDS = 60
SETTLING_SECONDS = 10
AT_A_TIME = 8
LIMIT_SECONDS = 1800
NAMESPACE = "scale"
OURS = f"{MANAGED_BY_LABEL}={MANAGER}"
API = f"/apis/voice.rvc.dev/v1alpha1/namespaces/{NAMESPACE}"
OPERATORS = {"ours": "rvc_operator", "kopf": "benchmarks.operator_kopf"}
COUNTED = re.compile(r"^apiserver_request_total\{([^}]*)\} (\S+)$", re.MULTILINE)
Body = dict[str, Any]
Row = tuple[str, float, str]


@dataclass
class Seen:
    """What a watch has told of our objects, and when."""

    first_status: dict[str, float] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    """Reason of Ready, by kind and name."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    subject: Subject | None = None
    """Whose work is waited for."""
    watches: list[asyncio.Task[None]] = field(default_factory=list)

    async def follow(self, upstream: Upstream, plural: str) -> None:
        """Watch until cancelled. The server ends watches as it likes; a new one begins with all there is."""
        while True:
            async for event in upstream.watch(f"{API}/{plural}"):
                body = event["object"]
                key = f"{plural}/{body['metadata']['name']}"
                for condition in body.get("status", {}).get("conditions", []):
                    if condition["type"] == "Ready":
                        self.first_status.setdefault(key, time.monotonic())
                        self.reasons[key] = condition["reason"]
                self.changed.set()

    async def until(self, holds: Callable[[], bool]) -> float:
        """When it began to hold, as far as the watch tells."""
        while not holds():
            self.changed.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self.changed.wait(), SETTLING_SECONDS)
            assert self.subject is not None, "somebody must be at work"
            self.subject.check()
            for watch in self.watches:
                if watch.done():
                    watch.result()
        return time.monotonic()


class Subject:
    """One operator's process under measurement."""

    def __init__(self, kubeconfig: Path, module: str) -> None:
        environment = os.environ | {
            "KUBECONFIG": str(kubeconfig),
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "operator")]),
            "RVC_TRAINER_IMAGE": "localhost/rvc-trainer:bench",
            "RVC_SERVER_IMAGE": "localhost/rvc-inference:bench",
            "RVC_NAMESPACES": NAMESPACE,
            "RVC_LIVENESS": f"http://127.0.0.1:{_free_port()}/healthz",
            "RVC_METRICS_PORT": str(_free_port()),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def check(self) -> None:
        """Raise AssertionError if it has ended."""
        assert self._process.poll() is None, "the operator has ended"

    def cpu_seconds(self) -> float:
        """CPU time that it has taken."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mebibytes(self) -> float:
        """Resident memory now."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        found = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
        assert found is not None, "the operator has ended"
        return int(found[1]) / 1024

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(timeout=60)


def operator_scale(_bench: Bench) -> Iterator[Figure]:
    """Both operators, the baseline being kopf's handlers as far as they get in their time."""
    ours, theirs = (dict(_scale(name, module, VOICES)) for name, module in OPERATORS.items())
    command = f"VOICES={VOICES} make bench ONLY=operator-scale"
    for name, (value, unit) in ours.items():
        baseline = theirs[name][0] if name in theirs else None
        yield Figure(name, value, unit, command, baseline)


def _scale(operator: str, module: str, voices: int) -> Iterator[tuple[str, tuple[float, str]]]:
    """Figures of one operator by their names, those that it got to within `LIMIT_SECONDS`."""
    rows = Rows(operator)
    with ControlPlane.start() as control_plane:
        control_plane.kubectl("apply", "--validate=false", "-k", str(ROOT / "crds"))
        for plural in ("voicemodels", "conversions"):
            control_plane.kubectl(
                "wait", "--for=condition=Established", f"crd/{plural}.voice.rvc.dev", "--timeout=60s"
            )
        for namespace in (NAMESPACE, "rvc-system"):
            control_plane.kubectl("create", "namespace", namespace)
        key = ROOT / "manifests" / "base" / "operator-key.yaml"
        control_plane.kubectl("apply", "--namespace=rvc-system", "-f", str(key))
        try:
            asyncio.run(
                asyncio.wait_for(_measure(control_plane.kubeconfig, module, voices, rows), LIMIT_SECONDS)
            )
        except TimeoutError:
            print(f"{operator}: not done after {LIMIT_SECONDS} s", file=sys.stderr, flush=True)
    for name, value, unit in rows:
        yield name, (value, unit)


class Rows(list[Row]):
    """Figures of one operator, each said when it is known."""

    def __init__(self, operator: str) -> None:
        super().__init__()
        self._operator = operator

    def __iadd__(self, rows: Iterable[Row]) -> Self:  # type: ignore[override, misc]
        for name, value, unit in rows:
            print(f"{self._operator}: {name} {value:.3f} {unit}", file=sys.stderr, flush=True)
            self.append((name, value, unit))
        return self


async def _measure(kubeconfig: Path, module: str, voices: int, rows: Rows) -> None:
    async with Upstream(kubeconfig) as upstream, _watching(upstream) as seen:
        with Subject(kubeconfig, module) as subject:
            seen.subject = subject
            rows += await _creation(upstream, seen, subject, voices)
            rows += await _child_events(upstream, seen, voices)
            await _settled(upstream)
            rows += await _quiet(upstream, subject)
            rows += [("resident memory", subject.memory_mebibytes(), "MiB")]
        before = await _writes(upstream)
        with Subject(kubeconfig, module) as subject:
            await asyncio.sleep(QUIET_SECONDS)
            rows += [("writes in the minute after a restart", await _writes(upstream) - before, "writes")]
            rows += [("CPU of that minute, start included", subject.cpu_seconds(), "s")]


@asynccontextmanager
async def _watching(upstream: Upstream) -> AsyncIterator[Seen]:
    seen = Seen()
    plurals = ("voicemodels", "conversions")
    seen.watches = [asyncio.create_task(seen.follow(upstream, plural)) for plural in plurals]
    try:
        yield seen
    finally:
        for watch in seen.watches:
            watch.cancel()


async def _creation(upstream: Upstream, seen: Seen, subject: Subject, voices: int) -> list[Row]:
    """Everything is created as fast as it goes, and gets its first status."""
    created: dict[str, float] = {}

    async def create(plural: str, manifest: Body) -> None:
        await upstream.request("POST", f"{API}/{plural}", manifest)
        created[f"{plural}/{manifest['metadata']['name']}"] = time.monotonic()

    started = time.monotonic()
    manifests = _voices(voices), _conversions(voices)
    for plural, bodies in zip(("voicemodels", "conversions"), manifests, strict=True):
        await _side_by_side([lambda b=body, p=plural: create(p, b) for body in bodies])
    created_all = time.monotonic() - started
    total = len(created)
    await seen.until(lambda: len(seen.first_status) == total)
    # The watch may be quicker than the answer to the one who created it.
    delays = [max(seen.first_status[key] - moment, 0.0) for key, moment in created.items()]
    first_all = time.monotonic() - started
    await _pods(upstream, voices)
    await _settled(upstream)
    return [
        ("time to create all objects", created_all, "s"),
        ("time until all had a first status", first_all, "s"),
        *_percentiles("time to first status", delays),
        ("writes per object until all was settled", await _writes(upstream) / total, "writes"),
        ("CPU until all was settled", subject.cpu_seconds(), "s"),
    ]


async def _child_events(upstream: Upstream, seen: Seen, voices: int) -> list[Row]:
    """Pods of single voices become unschedulable, one at a time: how soon the voice says so."""
    delays = []
    for pod in (await _pods(upstream, voices))[:CHILD_EVENTS]:
        key = f"voicemodels/{pod['metadata']['labels'][VOICE_LABEL]}"
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "bench"}
        path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod['metadata']['name']}/status"
        pod["status"]["conditions"] = [condition]
        started = time.monotonic()
        await upstream.request("PUT", path, pod)
        ended = await seen.until(lambda key=key: seen.reasons.get(key) == "Unschedulable")
        delays.append(ended - started)
    return _percentiles("event of a pod to status of its voice", delays)


async def _quiet(upstream: Upstream, subject: Subject) -> list[Row]:
    writes, cpu = await _writes(upstream), subject.cpu_seconds()
    await asyncio.sleep(QUIET_SECONDS)
    return [
        ("writes in a quiet minute", await _writes(upstream) - writes, "writes"),
        ("CPU of a quiet minute", subject.cpu_seconds() - cpu, "s"),
    ]


async def _settled(upstream: Upstream) -> None:
    """Until nothing is written any more."""
    before = -1.0
    while (now := await _writes(upstream)) != before:
        before = now
        await asyncio.sleep(SETTLING_SECONDS)


async def _pods(upstream: Upstream, voices: int) -> list[Body]:
    """The pods of all voices, once the Job controller has made them."""
    while True:
        path = f"/api/v1/namespaces/{NAMESPACE}/pods?labelSelector={OURS}"
        pods: list[Body] = (await upstream.request("GET", path))["items"]
        if len(pods) >= voices:
            return pods
        await asyncio.sleep(SETTLING_SECONDS)


async def _writes(upstream: Upstream) -> float:
    """Requests of the operator that the API server took, by its own count.

    Users create voices and Conversions, controllers write into Jobs and Deployments by PUT: what is left are
    patches of voices and Conversions and their statuses, new Jobs, applied Deployments and Services, and
    events of the new events API.
    """
    async with upstream.open("GET", "/metrics") as answer:
        text = (await answer.read()).decode()
    total = 0.0
    for labels, value in COUNTED.findall(text):
        said = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        what, verb = (said["group"], said["resource"]), said["verb"]
        ours = what == ("events.k8s.io", "events") and verb == "POST"
        ours |= what == ("batch", "jobs") and verb == "POST"
        ours |= what in (("apps", "deployments"), ("", "services")) and verb in ("PATCH", "APPLY")
        ours |= what[0] == "voice.rvc.dev" and verb in ("PATCH", "PUT", "APPLY")
        total += float(value) if ours and said["code"].startswith("2") else 0.0
    return total


async def _side_by_side(calls: list[Callable[[], Awaitable[None]]]) -> None:
    queue = iter(calls)

    async def work() -> None:
        for call in queue:
            await call()

    await asyncio.gather(*(work() for _ in range(AT_A_TIME)))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _percentiles(name: str, values: list[float]) -> list[Row]:
    cuts = quantiles(values, n=100)
    return [(f"{name}, p50", cuts[49], "s"), (f"{name}, p99", cuts[98], "s")]


def _voices(voices: int) -> list[Body]:
    spec = {
        "dataset": {"uri": "pvc://voices/recordings/"},
        "storage": {"uri": "pvc://voices/models/"},
        "accelerator": {"model": "CPU"},
        "training": {"architecture": "Light", "sampleRateHertz": 32000},
    }
    return [_manifest("VoiceModel", f"v{number}", spec) for number in range(voices)]


def _conversions(voices: int) -> list[Body]:
    return [
        _manifest(
            "Conversion",
            f"c{number}",
            {
                "voiceModelRef": {"name": f"v{number % voices}"},
                "input": {"object": "pvc://voices/inbox/hello.wav"},
                "output": {"prefix": "pvc://voices/converted/"},
            },
        )
        for number in range(voices * CONVERSIONS_PER_VOICE)
    ]


def _manifest(kind: str, name: str, spec: Body) -> Body:
    return {
        "apiVersion": "voice.rvc.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": spec,
    }
