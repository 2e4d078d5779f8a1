"""The operator's process, started as users start it."""

import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass
class OperatorProcess:
    """`python -m rvc_operator` on a control plane, in the given namespaces (all if empty)."""

    kubeconfig: Path
    namespace: str
    log_file: Path
    module: tuple[str, ...] = ("rvc_operator",)
    """What `python -m` runs, and its arguments."""
    liveness: str = ""
    """Where it says whether it is alive, once started."""
    metrics_port: int = 0
    """Where it answers `/metrics`, once started."""
    _process: subprocess.Popen[bytes] | None = None

    def start(self, **settings: str) -> None:
        """Start it, with quick polls and retries; keyword arguments are environment variables."""
        self.liveness = f"http://127.0.0.1:{_free_port()}/healthz"
        self.metrics_port = _free_port()
        environment = os.environ | {
            "KUBECONFIG": str(self.kubeconfig),
            "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "operator")]),
            "RVC_TRAINER_IMAGE": "localhost/rvc-trainer:test",
            "RVC_SERVER_IMAGE": "localhost/rvc-inference:test",
            "RVC_NAMESPACES": self.namespace,
            "RVC_LIVENESS": self.liveness,
            "RVC_METRICS_PORT": str(self.metrics_port),
            "RVC_POLL_SECONDS": "0.2",
            "RVC_RETRY_SECONDS": "0.2",
            "RVC_RETRY_LIMIT_SECONDS": "1",
        }
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *self.module], env=environment | settings, stderr=log
            )

    def kill(self) -> None:
        """End it with SIGKILL, wherever it is."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it as the kubelet does, if it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(timeout=30)

    @property
    def running(self) -> bool:
        """Whether it has neither ended nor been ended."""
        return self._process is not None and self._process.poll() is None

    def log(self) -> str:
        """All that it has logged."""
        return self.log_file.read_text()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
