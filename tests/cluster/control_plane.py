"""A control plane on loopback: etcd, API server and controller manager, without a node.

`ControlPlane.start` runs this module as a supervisor process that holds the programs as children. The
supervisor ends, and removes its folder, when its standard input closes: the kernel closes that pipe when the
starting process is gone, be it by `stop()` or by SIGKILL. The children in turn die with the supervisor.
So nothing is ever orphaned.
"""

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from . import binaries, components, toolbox
from .api import Api
from .components import LOOPBACK, Settings
from .kubectl import Kubectl
from .layout import REPOSITORY, ClusterError
from .pki import Authority, kubeconfig_writer
from .processes import Processes
from .report import say

PORT_ATTEMPTS = 3
WATCH_SECONDS = 0.5


class ControlPlane:
    """A running control plane; use as a context manager."""

    kubeconfig: Path
    """Administrator's kubeconfig, gone when the control plane stops."""
    kubectl: Kubectl
    """kubectl on this control plane: `control_plane.kubectl("get", "namespaces")`."""

    def __init__(self, supervisor: subprocess.Popen[str], kubeconfig: Path) -> None:
        self._supervisor = supervisor
        self.kubeconfig = kubeconfig
        self.kubectl = Kubectl(kubeconfig)

    @classmethod
    def start(cls, folder: Path | None = None) -> Self:
        """Start in a new or empty `folder` (default: a temporary one), which is removed at the end.

        Raises ClusterError; the supervisor has then printed the last log lines of the program that failed.
        """
        work = Path(tempfile.mkdtemp(prefix="rvc-control-plane-")) if folder is None else folder.resolve()
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "tests.cluster.control_plane", str(work)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
            # Ctrl-C at the terminal is for the tests; they stop their control plane in good order.
            start_new_session=True,
        )
        assert supervisor.stdout is not None
        kubeconfig = supervisor.stdout.readline().rstrip("\n")
        if not kubeconfig:
            raise ClusterError(f"the control plane did not start, see above (exit code {supervisor.wait()})")
        return cls(supervisor, Path(kubeconfig))

    @property
    def pid(self) -> int:
        """The supervisor process."""
        return self._supervisor.pid

    def stop(self) -> None:
        """End every program and remove the folder."""
        self._supervisor.communicate()

    def wait(self) -> None:
        """Block until the control plane ends by itself."""
        self._supervisor.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def supervise(folder: Path) -> None:
    """Run a control plane in `folder` until standard input closes or the parent is gone."""
    parent = os.getppid()
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as cleanup:
        cleanup.callback(shutil.rmtree, folder)
        kubeconfig, processes = _start_on_free_ports(folder)
        cleanup.callback(processes.kill)
        print(kubeconfig, flush=True)
        # A process that the parent forked may hold the pipe open, so the parent itself is watched too.
        while os.getppid() == parent and not select.select([sys.stdin], [], [], WATCH_SECONDS)[0]:
            processes.check()


def _start_on_free_ports(folder: Path) -> tuple[Path, Processes]:
    """Start everything; once more on other ports when another process took one of them in between."""
    for attempt in range(1, PORT_ATTEMPTS + 1):
        run = folder / str(attempt)
        run.mkdir()
        tools = toolbox.tools("etcd")
        processes = Processes(run / "logs", tools.environment)
        try:
            return _start(run, processes, tools), processes
        except ClusterError as error:
            processes.kill()
            if "address already in use" not in str(error) or attempt == PORT_ATTEMPTS:
                raise
    raise AssertionError("the last attempt returns or raises")


def _start(run: Path, processes: Processes, tools: toolbox.Tools) -> Path:
    authority = Authority(run / "pki", tools)
    etcd_port, etcd_peer_port, api_port = _free_ports(3)
    settings = Settings(
        binaries=binaries.provide(),
        authority=authority.certificate,
        api_server=authority.server("api-server", "kube-apiserver", [f"IP:{LOOPBACK}", "DNS:localhost"]),
        signing_key=authority.signing_key("service-accounts"),
        etcd_port=etcd_port,
        etcd_peer_port=etcd_peer_port,
        api_port=api_port,
    )
    processes.start("etcd", components.etcd(settings, tools.which("etcd"), run / "etcd"))
    processes.start("kube-apiserver", components.lone_api_server(settings))
    write = kubeconfig_writer(run, settings.api_url, authority.certificate)
    administrator = write("kubeconfig", authority.client("admin", "admin", "system:masters"))
    api = Api(administrator)
    processes.wait_until(api.ready, "the API server's readiness")
    processes.start("kube-controller-manager", components.controller_manager(settings, administrator))
    processes.wait_until(api.has_default_service_account, "the default service account")
    return administrator


def _free_ports(count: int) -> list[int]:
    """Ports of the loopback address that are free at this moment, all different."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((LOOPBACK, 0))
        return [each.getsockname()[1] for each in sockets]


def main() -> int:
    """Entry point of the supervisor process."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        supervise(Path(sys.argv[1]))
    except ClusterError as error:
        say(f"control plane: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
