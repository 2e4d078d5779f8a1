"""Files in and out of a cluster as tar streams through a pod: works on any cluster that has our images."""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from pathlib import Path

from tests.cluster.kubectl import Kubectl

POD = "rvc-demo-files"
UNPACK = "import sys,tarfile; tarfile.open(fileobj=sys.stdin.buffer, mode='r|').extractall('/data')"
PACK = (
    "import sys,tarfile; t=tarfile.open(fileobj=sys.stdout.buffer, mode='w|'); "
    "t.add('/data/'+sys.argv[1], arcname='.'); t.close()"
)


class PodFiles:
    """Files that two commands in a pod unpack and pack."""

    def __init__(
        self, kubectl: Kubectl, namespace: str, pod: str, unpack: Sequence[str], pack: Sequence[str]
    ) -> None:
        self.kubectl, self.namespace, self.pod = kubectl, namespace, pod
        self._unpack, self._pack = unpack, pack

    def upload(self, folder: Path, target: str) -> None:
        """Copy a folder's content to `target` below the root."""
        process = self.kubectl.stream("exec", "-i", "-n", self.namespace, self.pod, "--", *self._unpack)
        assert process.stdin is not None
        with tarfile.open(fileobj=process.stdin, mode="w|") as archive:
            archive.add(folder, arcname=target)
        process.stdin.close()
        if process.wait():
            raise RuntimeError(f"copying {folder} into the cluster failed")

    def download(self, source: str, folder: Path) -> None:
        """Copy the folder `source` below the root to `folder`."""
        process = self.kubectl.stream("exec", "-i", "-n", self.namespace, self.pod, "--", *self._pack, source)
        assert process.stdout is not None
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
            archive.extractall(folder, filter="data")
        if process.wait():
            raise RuntimeError(f"copying {source} out of the cluster failed")


class ClaimFiles(PodFiles):
    """Files of a PersistentVolumeClaim, by a pod that holds it meanwhile; use as a context manager."""

    def __init__(self, kubectl: Kubectl, namespace: str, claim: str, image: str) -> None:
        super().__init__(kubectl, namespace, POD, ("python3", "-c", UNPACK), ("python3", "-c", PACK))
        self._manifest = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": POD, "namespace": namespace},
            "spec": {
                "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "fsGroup": 10001},
                "terminationGracePeriodSeconds": 0,
                "automountServiceAccountToken": False,
                "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}],
                "containers": [
                    {
                        "name": "files",
                        "image": image,
                        "command": ["python3", "-c", "import signal; signal.pause()"],
                        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                    }
                ],
            },
        }

    def __enter__(self) -> ClaimFiles:
        self.kubectl.apply(self._manifest)
        self.kubectl("wait", "-n", self.namespace, "--for=condition=Ready", f"pod/{POD}", "--timeout=180s")
        return self

    def __exit__(self, *_: object) -> None:
        # Waited for, because the next one has the same name.
        self.kubectl("delete", "-n", self.namespace, "pod", POD, "--timeout=60s", "--ignore-not-found")

    def empty(self) -> None:
        """Remove what an earlier run left."""
        self.kubectl("exec", "-n", self.namespace, POD, "--", "sh", "-c", "rm -rf /data/*")
