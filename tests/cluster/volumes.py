"""Storage for pods: PersistentVolumes on folders of the machine, in a default storage class.

A PersistentVolumeClaim written for any real cluster binds here unchanged, to one of the volumes that lie
ready.
"""

from pathlib import Path
from typing import Any

from .kubectl import Kubectl
from .layout import ClusterError

COUNT = 16
SIZE = "20Gi"
CLASS = "local"


def provide(folder: Path, kubectl: Kubectl) -> None:
    """Make the folders and declare them to the cluster."""
    names = [f"volume-{number:02}" for number in range(1, COUNT + 1)]
    for name in names:
        (folder / name).mkdir(parents=True)
        # What fsGroup does for other kinds of volumes, Kubernetes leaves undone for folders of a host.
        (folder / name).chmod(0o777)
    kubectl.apply(storage_class(), *(volume(name, folder / name) for name in names))


def storage_class() -> dict[str, Any]:
    """The class that claims without a class of their own get."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": CLASS,
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": "kubernetes.io/no-provisioner",
    }


def volume(name: str, folder: Path) -> dict[str, Any]:
    """A PersistentVolume on `folder`."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": SIZE},
            "accessModes": ["ReadWriteOnce", "ReadWriteMany"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": CLASS,
            "hostPath": {"path": str(folder), "type": "Directory"},
        },
    }


def folder_of(claim: str, namespace: str, kubectl: Kubectl) -> Path:
    """The machine's folder behind a bound claim; ClusterError while it is not bound."""
    name = kubectl.json("get", "persistentvolumeclaim", claim, f"--namespace={namespace}")["spec"].get(
        "volumeName"
    )
    if name is None:
        raise ClusterError(f"claim {namespace}/{claim} is not bound yet; see `kubectl describe pvc {claim}`")
    return Path(kubectl.json("get", "persistentvolume", name)["spec"]["hostPath"]["path"])
