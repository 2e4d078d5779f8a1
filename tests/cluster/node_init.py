"""Process 1 of the node's namespaces: starts all, then reaps what ends. When it goes, the kernel ends all.

Run by `Node.up` as `python -m tests.cluster.node_init FOLDER CGROUP LISTENER PORT`: the node's folder, the
control group for pods, and the inherited socket, with its port, through which the machine reaches the API
server.
"""

import os
import signal
import sys
from pathlib import Path

from . import binaries, components, node_components, toolbox
from .api import Api
from .components import LOOPBACK, SERVICE_ADDRESS, Settings
from .layout import ClusterError
from .namespace import prepare_file_tree, prepare_iptables, prepare_network
from .node_components import NODE_ADDRESS, NODE_NAME
from .pki import Authority, kubeconfig_writer
from .processes import Processes
from .report import say

API_PORT = 6443
OUTSIDE = "outside"
"""Below the node's folder: the administrator's kubeconfig for programs of the machine."""
INSIDE = "inside"
"""Below the node's folder: kubeconfigs for programs in the namespaces."""
READY = "ready"
"""Below the node's folder: a file that appears when the node takes pods."""


class Boot:
    """The start of a node, in order."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tools = toolbox.tools("etcd", "node")
        prepare_file_tree(folder)
        prepare_network(self.tools)
        scratch, iptables = folder / "tmp", folder / "iptables"
        scratch.mkdir()
        prepare_iptables(self.tools, iptables)
        environment = self.tools.environment
        environment |= {"PATH": f"{iptables}:{environment['PATH']}", "TMPDIR": str(scratch)}
        self.processes = Processes(folder / "logs", environment)
        self.authority = Authority(folder / "pki", self.tools)
        names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]
        addresses = [LOOPBACK, NODE_ADDRESS, SERVICE_ADDRESS]
        alternatives = [*(f"DNS:{name}" for name in names), *(f"IP:{address}" for address in addresses)]
        self.settings = Settings(
            binaries=binaries.provide(),
            authority=self.authority.certificate,
            api_server=self.authority.server("api-server", "kube-apiserver", alternatives),
            signing_key=self.authority.signing_key("service-accounts"),
            etcd_port=2379,
            etcd_peer_port=2380,
            api_port=API_PORT,
        )
        self.write_kubeconfig = kubeconfig_writer(
            folder / INSIDE, self.settings.api_url, self.authority.certificate
        )

    def api_server(self, listener: int, port: int) -> Api:
        """Start etcd, the API server and its door to the machine; wait until it is ready."""
        administrator = self.authority.client("admin", "admin", "system:masters")
        outside = kubeconfig_writer(
            self.folder / OUTSIDE, f"https://{LOOPBACK}:{port}", self.settings.authority
        )
        outside("kubeconfig", administrator)
        inside = self.write_kubeconfig("kubeconfig", administrator)
        etcd = components.etcd(self.settings, self.tools.which("etcd"), self.folder / "etcd")
        self.processes.start("etcd", etcd)
        to_kubelet = self.authority.client("to-kubelet", "api-server", "system:masters")
        self.processes.start("kube-apiserver", node_components.node_api_server(self.settings, to_kubelet))
        forward = [sys.executable, "-m", "tests.cluster.forward", f"--fd={listener}", f"--port={API_PORT}"]
        self.processes.start("forward", forward, pass_fds=(listener,))
        api = Api(inside)
        self.processes.wait_until(api.ready, "the API server's readiness")
        manager = components.controller_manager(self.settings, inside)
        self.processes.start("kube-controller-manager", manager)
        self.processes.start("kube-scheduler", components.scheduler(self.settings, inside))
        return api

    def container_runtime(self) -> None:
        """Start containerd with our pod network."""
        network, plugins = self.folder / "cni", self.tools.find("usr/lib/cni")
        network.mkdir()
        (network / "10-pods.conflist").write_text(node_components.pod_network(self.folder / "pod-addresses"))
        configuration = self.folder / "containerd.toml"
        content = node_components.containerd_configuration(self.folder / "containerd", plugins, network)
        configuration.write_text(content)
        self.processes.start("containerd", [self.tools.which("containerd"), f"--config={configuration}"])
        socket = Path(node_components.CONTAINERD_SOCKET)
        self.processes.wait_until(socket.exists, "containerd's socket")

    def kubelet(self, cgroup: str) -> None:
        """Start the kubelet and the proxy of Services."""
        identity = self.authority.client("kubelet", f"system:node:{NODE_NAME}", "system:nodes")
        kubeconfig = self.write_kubeconfig("kubelet", identity)
        server = self.authority.server(
            "kubelet-server", NODE_NAME, [f"DNS:{NODE_NAME}", f"IP:{NODE_ADDRESS}"]
        )
        configuration = self.folder / "kubelet.json"
        configuration.write_text(node_components.kubelet_configuration(self.settings, server, cgroup))
        root = self.folder / "kubelet"
        self.processes.start(
            "kubelet", node_components.kubelet(self.settings, configuration, kubeconfig, root)
        )
        proxy = self.write_kubeconfig("kube-proxy", self.authority.client("kube-proxy", "system:kube-proxy"))
        self.processes.start("kube-proxy", node_components.kube_proxy(self.settings, proxy))


def start(folder: Path, cgroup: str, listener: int, port: int) -> Processes:
    """Bring the node up and mark it ready."""
    boot = Boot(folder)
    boot.container_runtime()
    api = boot.api_server(listener, port)
    boot.kubelet(cgroup)
    boot.processes.wait_until(api.has_default_service_account, "the default service account")
    boot.processes.wait_until(lambda: api.node_is_ready(NODE_NAME), "the node's readiness")
    (folder / READY).touch()
    return boot.processes


def reap(processes: Processes) -> None:
    """Collect ended processes for ever; raises when one of the node's programs is among them."""
    while True:
        pid, status = os.wait()
        name = processes.name_of(pid)
        if name is not None:
            raise processes.ended(name, os.waitstatus_to_exitcode(status))


def main() -> int:
    """Entry point of process 1."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    folder, cgroup, listener, port = sys.argv[1:]
    try:
        reap(start(Path(folder), cgroup, int(listener), int(port)))
    except ClusterError as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
