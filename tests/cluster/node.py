"""A whole cluster of one node on this machine, inside private Linux namespaces.

Outside the namespaces exist only: one folder (the node's state), one `unshare` process that holds the
namespaces, one control group, and one socket on 127.0.0.1 through which kubectl and the operator's tests
reach the API server. The node lives exactly as long as the lock on its folder is held, by its own process
1.
"""

import fcntl
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from . import binaries, images, oci, toolbox, volumes
from .cgroups import Cgroup
from .components import LOOPBACK
from .kubectl import Kubectl
from .layout import REPOSITORY, ClusterError, state_folder
from .node_components import CONTAINERD_SOCKET
from .node_init import INSIDE, OUTSIDE, READY
from .report import say, step
from .toolbox import run

POLL_SECONDS = 0.05
STOP_SECONDS = 30.0


class Node:
    """The cluster of one folder; every method may be called from any process of the same user."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = (folder or state_folder()).absolute()
        digest = hashlib.sha256(os.fsencode(self._folder)).hexdigest()[:8]
        self.cgroup_name = f"rvc-cluster-{digest}"
        """The control group of all pods, in every hierarchy."""

    @property
    def kubeconfig(self) -> Path:
        """Administrator's kubeconfig for programs of the machine."""
        return self._folder / OUTSIDE / "kubeconfig.conf"

    @property
    def kubectl(self) -> Kubectl:
        """kubectl on this cluster."""
        return Kubectl(self.kubeconfig)

    @property
    def running(self) -> bool:
        """Whether the namespaces exist, be the cluster ready or still starting."""
        try:
            with self._lock_file().open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def up(self, *, bound_to_caller: bool = False) -> None:
        """Start the cluster and wait until it takes pods; nothing to do when it runs.

        With `bound_to_caller` it ends with the calling thread (its folder is then removed by the next `up`).
        """
        if self.running:
            self._wait_until_ready()
            say(f"The cluster is running: kubeconfig {self.kubeconfig}")
            return
        _require_root()
        self._remove_leftovers()
        binaries.provide()
        toolbox.tools("etcd", "node")
        pause = images.pause()
        try:
            with step("Starting Kubernetes: control plane, container runtime, node", "10 s"):
                self._start(["setpriv", "--pdeathsig", "KILL"] if bound_to_caller else [])
                self._wait_until_ready()
                self.load([pause])
                volumes.provide(self._folder / "volumes", self.kubectl)
        except BaseException as error:
            try:
                self.down()
            except ClusterError as remains:
                error.add_note(f"and then its remains could not be removed: {remains}")
            raise
        say(f"The cluster is ready: kubeconfig {self.kubeconfig}")

    def down(self) -> None:
        """End every process and remove everything but the caches; nothing to do when there is no cluster."""
        if not self._folder.exists():
            say("There is no cluster.")
            return
        with step("Removing the cluster", "3 s"):
            self.kill()
            self._remove_leftovers()

    def kill(self) -> None:
        """End every process at once, and no more; the next `up` or `down` removes what remains."""
        if self.running:
            os.kill(self._holder(), signal.SIGKILL)
            self._wait_until_stopped()

    def exec(self, *command: str) -> int:
        """Run a command inside the namespaces, at this terminal, kubectl and ctr set up; its exit status."""
        return subprocess.run(self._inside(command), env=self._environment(), check=False).returncode

    def load(self, archives: Iterable[Path]) -> None:
        """Give images to the node's container runtime, but for those that it has with the same digest."""
        for archive in archives:
            if self._image_digest(oci.name(archive)) != oci.digest(archive):
                self._run_inside("ctr", "images", "import", str(archive))

    def volume_folder(self, claim: str, namespace: str = "default") -> Path:
        """The machine's folder behind a bound PersistentVolumeClaim."""
        return volumes.folder_of(claim, namespace, self.kubectl)

    def _start(self, wrapper: list[str]) -> None:
        cgroup = Cgroup(self.cgroup_name)
        self._folder.mkdir(parents=True, mode=0o700)
        (self._folder / "logs").mkdir()
        self._cgroup_note().write_text(json.dumps(cgroup.create()))
        listener = socket.create_server((LOOPBACK, 0))
        init = [sys.executable, "-m", "tests.cluster.node_init", str(self._folder), self.cgroup_name]
        init += [str(listener.fileno()), str(listener.getsockname()[1])]
        namespaces = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
        with self._lock_file().open("w") as lock, self._init_log().open("w") as log, listener:
            fcntl.flock(lock, fcntl.LOCK_EX)
            holder = subprocess.Popen(
                [*wrapper, *namespaces, *init],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=REPOSITORY,
                pass_fds=(lock.fileno(), listener.fileno()),
                start_new_session=True,
            )
            self._pid_file().write_text(str(holder.pid))

    def _wait_until_ready(self) -> None:
        while not (self._folder / READY).exists():
            if not self.running:
                raise ClusterError(f"the cluster did not start: {self._init_log().read_text()}")
            time.sleep(POLL_SECONDS)

    def _wait_until_stopped(self) -> None:
        deadline = time.monotonic() + STOP_SECONDS
        while self.running:
            if time.monotonic() > deadline:
                raise ClusterError(f"process {self._holder()} does not end; its cluster is in {self._folder}")
            time.sleep(POLL_SECONDS)

    def _remove_leftovers(self) -> None:
        """Remove what a node leaves that has ended, in good order or not."""
        if self._folder.exists():
            note = self._cgroup_note()
            Cgroup(self.cgroup_name).remove(json.loads(note.read_text()) if note.exists() else [])
            shutil.rmtree(self._folder)

    def _image_digest(self, name: str) -> str | None:
        """Digest of an image that the container runtime has."""
        listing = self._run_inside("ctr", "images", "list", f"name=={name}").splitlines()[1:]
        return listing[0].split()[2] if listing else None

    def _run_inside(self, *command: str) -> str:
        return run(self._inside(command), environment=self._environment())

    def _inside(self, command: Iterable[str]) -> list[str]:
        """A command line that runs `command` in the namespaces."""
        namespaces = Path("/proc") / str(self._holder()) / "ns"
        kinds = {"mount": "mnt", "net": "net", "pid": "pid_for_children"}
        return ["nsenter", *(f"--{kind}={namespaces / file}" for kind, file in kinds.items()), *command]

    def _environment(self) -> dict[str, str]:
        return toolbox.tools("node").environment | {
            "KUBECONFIG": str(self._folder / INSIDE / "kubeconfig.conf"),
            "CONTAINERD_ADDRESS": CONTAINERD_SOCKET,
            "CONTAINERD_NAMESPACE": "k8s.io",
        }

    def _holder(self) -> int:
        """The process that holds the namespaces."""
        if not self.running:
            raise ClusterError("there is no cluster; start one with `python -m tests.cluster up`")
        return int(self._pid_file().read_text())

    def _lock_file(self) -> Path:
        return self._folder / "lock"

    def _pid_file(self) -> Path:
        return self._folder / "pid"

    def _init_log(self) -> Path:
        return self._folder / "logs" / "init.log"

    def _cgroup_note(self) -> Path:
        """What was switched on for the control group, to be switched off again."""
        return self._folder / "cgroup.json"


def _require_root() -> None:
    if os.geteuid() != 0:
        raise ClusterError(
            "a node needs root (it makes namespaces, mounts and control groups). Run as root, or set "
            "CLUSTER=current to use the cluster of your current kubeconfig with images that IMAGE_OPERATOR, "
            "IMAGE_TRAINER and IMAGE_INFERENCE name. `python -m tests.cluster control-plane` needs no root."
        )
