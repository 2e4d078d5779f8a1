"""Command lines of the programs: pure functions, the one place that knows flags and versions."""

from dataclasses import dataclass
from pathlib import Path

from .binaries import Binaries
from .pki import Identity

SERVICE_NETWORK = "10.96.0.0/16"
SERVICE_ADDRESS = "10.96.0.1"
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Settings:
    """What the programs of one control plane have in common."""

    binaries: Binaries
    authority: Path
    """Certificate of the cluster's authority."""
    api_server: Identity
    signing_key: Path
    """Key of service account tokens."""
    etcd_port: int
    etcd_peer_port: int
    api_port: int

    @property
    def api_url(self) -> str:
        """Where programs beside the API server reach it."""
        return f"https://{LOOPBACK}:{self.api_port}"


def etcd(settings: Settings, program: str, data: Path) -> list[str]:
    """The database, without waiting for the disk: it never outlives its cluster."""
    client = f"http://{LOOPBACK}:{settings.etcd_port}"
    peer = f"http://{LOOPBACK}:{settings.etcd_peer_port}"
    return [
        program,
        "--name=etcd",
        f"--data-dir={data}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=etcd={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
        "--logger=zap",
    ]


def api_server(settings: Settings, *extra: str) -> list[str]:
    """The API server, on the loopback address only unless `extra` says otherwise."""
    return [
        settings.binaries["kube-apiserver"],
        f"--etcd-servers=http://{LOOPBACK}:{settings.etcd_port}",
        f"--secure-port={settings.api_port}",
        f"--tls-cert-file={settings.api_server.certificate}",
        f"--tls-private-key-file={settings.api_server.key}",
        f"--client-ca-file={settings.authority}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-signing-key-file={settings.signing_key}",
        f"--service-account-key-file={settings.signing_key}",
        f"--service-cluster-ip-range={SERVICE_NETWORK}",
        "--allow-privileged=true",
        "--profiling=false",
        *_feature_gates(settings.binaries),
        *extra,
    ]


def lone_api_server(settings: Settings) -> list[str]:
    """The API server of a control plane without a node."""
    # Loopback is no valid address for the endpoints of the Service `kubernetes`, which no pod will ask for.
    loopback = (
        f"--bind-address={LOOPBACK}",
        f"--advertise-address={LOOPBACK}",
        "--endpoint-reconciler-type=none",
    )
    return api_server(settings, *loopback, "--authorization-mode=RBAC")


def controller_manager(settings: Settings, kubeconfig: Path) -> list[str]:
    """Jobs, Deployments, garbage collection, namespaces, service accounts and the rest.

    All controllers share the administrator's identity: one account for each would cost 4 s at every start.
    """
    return [
        settings.binaries["kube-controller-manager"],
        *_client(settings, kubeconfig),
        f"--service-account-private-key-file={settings.signing_key}",
        f"--root-ca-file={settings.authority}",
        *_feature_gates(settings.binaries),
    ]


def scheduler(settings: Settings, kubeconfig: Path) -> list[str]:
    """Places pods on nodes."""
    return [settings.binaries["kube-scheduler"], *_client(settings, kubeconfig)]


def _client(settings: Settings, kubeconfig: Path) -> list[str]:
    flags = [f"--kubeconfig={kubeconfig}", "--leader-elect=false", "--secure-port=0"]
    # Before 1.24 a second, insecure port is open unless it is switched off too; later the flag is an error.
    return [*flags, "--port=0"] if settings.binaries.version < (1, 24) else flags


def _feature_gates(binaries: Binaries) -> list[str]:
    """Jobs with a time to live are on by default from 1.21."""
    return ["--feature-gates=TTLAfterFinished=true"] if binaries.version < (1, 21) else []
