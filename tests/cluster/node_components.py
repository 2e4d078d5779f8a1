"""Command lines and configuration of a node's programs: pure functions of the node's folder."""

import json
from pathlib import Path

from .components import LOOPBACK, Settings, api_server
from .pki import Identity

NODE_NAME = "node"
NODE_ADDRESS = "10.99.0.1"
POD_NETWORK = "10.244.0.0/24"
PAUSE_IMAGE = "localhost/pause:1"
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
RUNTIME_ENDPOINT = f"unix://{CONTAINERD_SOCKET}"


def node_api_server(settings: Settings, kubelet_client: Identity) -> list[str]:
    """The API server of a cluster with a node, reachable from its pods."""
    return api_server(
        settings,
        "--bind-address=0.0.0.0",
        f"--advertise-address={NODE_ADDRESS}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--kubelet-client-certificate={kubelet_client.certificate}",
        f"--kubelet-client-key={kubelet_client.key}",
        f"--kubelet-certificate-authority={settings.authority}",
        "--kubelet-preferred-address-types=InternalIP",
    )


def kubelet(settings: Settings, configuration: Path, kubeconfig: Path, root: Path) -> list[str]:
    """The node's agent."""
    flags = [
        settings.binaries["kubelet"],
        f"--config={configuration}",
        f"--kubeconfig={kubeconfig}",
        f"--hostname-override={NODE_NAME}",
        f"--node-ip={NODE_ADDRESS}",
        f"--root-dir={root}",
        f"--container-runtime-endpoint={RUNTIME_ENDPOINT}",
    ]
    # From 1.24 no other kind of runtime exists, and later the flag neither.
    return [*flags, "--container-runtime=remote"] if settings.binaries.version < (1, 24) else flags


def kubelet_configuration(settings: Settings, server: Identity, cgroup: str) -> str:
    """The kubelet's configuration file (JSON is YAML)."""
    return json.dumps(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(settings.authority)},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(server.certificate),
            "tlsPrivateKeyFile": str(server.key),
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{cgroup}",
            # A machine of one's own with swap, little free disk or no right to lower a score is good enough.
            "failSwapOn": False,
            "oomScoreAdj": 0,
            "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "resolvConf": "",
            "hairpinMode": "none",
            "makeIPTablesUtilChains": False,
            "nodeStatusUpdateFrequency": "1s",
        }
    )


def kube_proxy(settings: Settings, kubeconfig: Path) -> list[str]:
    """Services by their ClusterIP; connection tracking limits stay as the machine has them."""
    return [
        settings.binaries["kube-proxy"],
        f"--kubeconfig={kubeconfig}",
        f"--hostname-override={NODE_NAME}",
        "--proxy-mode=iptables",
        f"--cluster-cidr={POD_NETWORK}",
        # Answers then return through the node whether or not bridged packets are shown to iptables.
        "--masquerade-all=true",
        "--conntrack-max-per-core=0",
        "--conntrack-tcp-timeout-established=0",
        "--conntrack-tcp-timeout-close-wait=0",
        f"--healthz-bind-address={LOOPBACK}:10256",
        f"--metrics-bind-address={LOOPBACK}:10249",
        "--nodeport-addresses=127.0.0.0/8",
        "--oom-score-adj=0",
    ]


def containerd_configuration(root: Path, plugins: Path, network: Path) -> str:
    """containerd's configuration (TOML): files below `root`, CNI's programs and configuration lists."""
    return f"""\
version = 2
root = "{root / "root"}"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]
[grpc]
  address = "{CONTAINERD_SOCKET}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{root / "opt"}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  disable_tcp_service = true
  # Neither the right to lower a score nor AppArmor profiles can be counted on.
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{network}"
"""


def pod_network(addresses: Path) -> str:
    """The CNI configuration list of the pod network (JSON), which keeps given addresses in a folder."""
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": POD_NETWORK}]],
            "routes": [{"dst": "0.0.0.0/0"}],
            "dataDir": str(addresses),
        },
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return json.dumps({"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge, ports]})
