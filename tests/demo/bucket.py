"""A bucket in the cluster: the test server that speaks OSS as a pod, made of a ConfigMap with its code.

Recordings go in and out as tar streams through that pod, where `tests.demo.transfer` puts and gets them by
our own store, signatures and all.
"""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

from tests.cluster.kubectl import Kubectl
from tests.demo.files import PodFiles
from tests.oss import KEY_ID, REGION

ROOT = Path(__file__).resolve().parents[2]
SERVER = "oss"
"""Name of the server's pod, Service, ConfigMap and Secret."""
SECRET = "oss-keys"
"""Name of the Secret that voices are given."""
PORT = 9000
CODE_FOLDER = "/srv"

Manifest = dict[str, Any]


class Bucket:
    """The bucket `name` behind a server in a namespace."""

    def __init__(self, kubectl: Kubectl, namespace: str, image: str, name: str = "voices") -> None:
        self.kubectl, self.namespace, self.name = kubectl, namespace, name
        self.key_secret = secrets.token_urlsafe()
        """Of its own, so that a test can look for it in places where it must not be."""
        self._image = image
        transfer = ("python3", "-m", "tests.demo.transfer")
        self.files = PodFiles(
            kubectl,
            namespace,
            SERVER,
            (*transfer, "put", f"oss://{name}/"),
            (*transfer, "get", f"oss://{name}/"),
        )
        self._endpoint = ""

    def start(self) -> None:
        """Start the server with an empty bucket; an earlier one goes, and what it held."""
        self.remove()
        self.kubectl.apply(self._secret(SERVER), *server(self.namespace, self._image, self.name))
        self.kubectl("wait", "-n", self.namespace, "--for=condition=Ready", f"pod/{SERVER}", "--timeout=180s")
        # By address, because not every cluster has a DNS, and the bucket is then part of the path.
        service = self.kubectl.json("get", "service", SERVER, "-n", self.namespace)
        self._endpoint = f"http://{service['spec']['clusterIP']}:{PORT}"

    def grant(self) -> None:
        """Give the namespace the Secret that voices name."""
        self.kubectl.apply(self._secret(SECRET))

    def remove(self) -> None:
        """Remove the server and the Secrets."""
        kinds = f"pod/{SERVER} service/{SERVER} configmap/{SERVER} secret/{SERVER} secret/{SECRET}"
        self.kubectl("delete", "-n", self.namespace, *kinds.split(), "--ignore-not-found", "--timeout=60s")

    def moved(self, manifest: Manifest) -> Manifest:
        """A VoiceModel or Conversion on a claim of the bucket's name, on the bucket instead."""
        text = json.dumps(manifest).replace(f"pvc://{self.name}/", f"oss://{self.name}/")
        moved: Manifest = json.loads(text)
        if moved["kind"] == "VoiceModel":
            moved["spec"]["storage"] |= {
                "endpoint": self._endpoint,
                "region": REGION,
                "secretRef": {"name": SECRET},
            }
        return moved

    def _secret(self, name: str) -> Manifest:
        return _named("Secret", self.namespace, name) | {
            "stringData": {"akId": KEY_ID, "akSecret": self.key_secret}
        }


def server(namespace: str, image: str, bucket: str) -> list[Manifest]:
    """The server's code, address and pod; the pod reads its key from the Secret of its own name."""
    code = _code()
    # A key of a ConfigMap has no slashes; the volume gives the files their folders back.
    keys = {path.replace("/", "--"): path for path in code}
    return [
        _named("ConfigMap", namespace, SERVER) | {"data": {key: code[path] for key, path in keys.items()}},
        _named("Service", namespace, SERVER)
        | {"spec": {"selector": {"app": SERVER}, "ports": [{"port": PORT}]}},
        _named("Pod", namespace, SERVER)
        | {
            "spec": {
                "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "fsGroup": 10001},
                "terminationGracePeriodSeconds": 0,
                "automountServiceAccountToken": False,
                "containers": [_container(image, bucket)],
                "volumes": [
                    {"name": "data", "emptyDir": {}},
                    {
                        "name": "code",
                        "configMap": {
                            "name": SERVER,
                            "items": [{"key": key, "path": path} for key, path in keys.items()],
                        },
                    },
                ],
            }
        },
    ]


def _container(image: str, bucket: str) -> Manifest:
    keys = {"OSS_ACCESS_KEY_ID": "akId", "OSS_ACCESS_KEY_SECRET": "akSecret"}
    return {
        "name": SERVER,
        "image": image,
        "workingDir": CODE_FOLDER,
        "command": ["python3", "-m", "tests.oss", f"--port={PORT}", f"--bucket={bucket}", "--folder=/data"],
        "env": [
            *(
                {"name": name, "valueFrom": {"secretKeyRef": {"name": SERVER, "key": key}}}
                for name, key in keys.items()
            ),
            {"name": "OSS_ENDPOINT", "value": f"http://127.0.0.1:{PORT}"},
            {"name": "OSS_REGION", "value": REGION},
        ],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
        "volumeMounts": [
            {"name": "data", "mountPath": "/data"},
            {"name": "code", "mountPath": CODE_FOLDER, "readOnly": True},
        ],
    }


def _code() -> dict[str, str]:
    """The server and the transfer: path in the repository to content."""
    server = [path for path in (ROOT / "tests/oss").glob("*.py") if not path.name.startswith("test_")]
    beside = [ROOT / "tests" / name for name in ("__init__.py", "demo/__init__.py", "demo/transfer.py")]
    return {str(path.relative_to(ROOT)): path.read_text() for path in sorted([*server, *beside])}


def _named(kind: str, namespace: str, name: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
    }
