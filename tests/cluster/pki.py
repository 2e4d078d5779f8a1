"""Throw-away certificates and kubeconfigs of one cluster."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from .toolbox import Tools, run

CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
LIFETIME_DAYS = "365"
#: The least that openssl asks for, so that the machine's own configuration plays no part.
CONFIGURATION = "[req]\ndistinguished_name = subject\n[subject]\n"


@dataclass(frozen=True)
class Identity:
    """A certificate and its private key, as files."""

    certificate: Path
    key: Path


class Authority:
    """A certificate authority with its folder of certificates."""

    def __init__(self, folder: Path, tools: Tools) -> None:
        folder.mkdir(mode=0o700, parents=True)
        self._folder = folder
        self._program = tools.which("openssl")
        configuration = folder / "openssl.cnf"
        configuration.write_text(CONFIGURATION)
        self._environment = tools.environment | {"OPENSSL_CONF": str(configuration)}
        self.identity = self._issue(
            "ca", "/CN=rvc-test-cluster", "basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign"
        )

    @property
    def certificate(self) -> Path:
        """The certificate that all others are checked against."""
        return self.identity.certificate

    def server(self, name: str, common_name: str, names: list[str]) -> Identity:
        """A server's identity for `names`, each as "DNS:..." or "IP:..."."""
        return self._issue(
            name, f"/CN={common_name}", "extendedKeyUsage=serverAuth", f"subjectAltName={','.join(names)}"
        )

    def client(self, name: str, user: str, group: str | None = None) -> Identity:
        """A client's identity; Kubernetes reads the user from CN and the group from O."""
        subject = f"/O={group}/CN={user}" if group else f"/CN={user}"
        return self._issue(name, subject, "extendedKeyUsage=clientAuth")

    def signing_key(self, name: str) -> Path:
        """A bare private key, with which service account tokens are signed and checked."""
        key = self._folder / f"{name}.key"
        self._openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(key))
        return key

    def _issue(self, name: str, subject: str, *extensions: str) -> Identity:
        identity = Identity(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        command = ["req", "-x509", *CURVE, "-days", LIFETIME_DAYS, "-subj", subject]
        command += ["-keyout", str(identity.key), "-out", str(identity.certificate)]
        if name != "ca":
            command += ["-CA", str(self.identity.certificate), "-CAkey", str(self.identity.key)]
            extensions = (*extensions, "basicConstraints=critical,CA:FALSE", "authorityKeyIdentifier=keyid")
        for extension in (*extensions, "subjectKeyIdentifier=hash"):
            command += ["-addext", extension]
        self._openssl(*command)
        return identity

    def _openssl(self, *arguments: str) -> None:
        run([self._program, *arguments], environment=self._environment)


def kubeconfig(server: str, authority: Path, identity: Identity) -> str:
    """A kubeconfig that names the certificates' files, as YAML.

    Clients that are given certificates inside it write them to temporary files, and leave them there when
    killed.
    """
    cluster = {"server": server, "certificate-authority": str(authority)}
    user = {"client-certificate": str(identity.certificate), "client-key": str(identity.key)}
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "rvc", "cluster": cluster}],
            "users": [{"name": "rvc", "user": user}],
            "contexts": [{"name": "rvc", "context": {"cluster": "rvc", "user": "rvc"}}],
            "current-context": "rvc",
        }
    )


def kubeconfig_writer(folder: Path, server: str, authority: Path) -> Callable[[str, Identity], Path]:
    """A function that writes NAME.conf for an identity, readable by its owner only."""
    folder.mkdir(mode=0o700, exist_ok=True)

    def write(name: str, identity: Identity) -> Path:
        path = folder / f"{name}.conf"
        path.touch(mode=0o600)
        path.write_text(kubeconfig(server, authority, identity))
        return path

    return write
