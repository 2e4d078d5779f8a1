"""The cluster of the demo: made here from nothing, or (CLUSTER=current) the one that kubectl talks to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tests.cluster import current, images
from tests.cluster.kubectl import Kubectl
from tests.cluster.node import Node

ROOT = Path(__file__).resolve().parents[2]
OPERATOR_NAMESPACE = "rvc-system"


def ready() -> tuple[Kubectl, dict[str, str]]:
    """kubectl on a cluster that runs our operator, and the names of our three images there."""
    if os.environ.get("CLUSTER") == "current":
        kubectl, names = Kubectl(current.kubeconfig()), current.image_names()
        return kubectl, names
    node = Node()
    node.up()
    node.load(list(images.build(images.NAMES).values()))
    kubectl = Kubectl(node.kubeconfig)
    install(kubectl)
    return kubectl, images.IMAGE_NAMES


def install(kubectl: Kubectl) -> None:
    """CRDs first, then the operator; waits until it runs."""
    # Servers before 1.25 have no CEL rules: they drop them, and kubectl's own validation would refuse them.
    kubectl("apply", "--validate=false", "-k", str(ROOT / "crds"))
    kubectl("wait", "--for=condition=Established", "-k", str(ROOT / "crds"), "--timeout=60s")
    kubectl("apply", "-k", str(ROOT / "manifests/overlays/local"))
    kubectl("rollout", "restart", "-n", OPERATOR_NAMESPACE, "deployment/rvc-operator")
    kubectl("rollout", "status", "-n", OPERATOR_NAMESPACE, "deployment/rvc-operator", "--timeout=180s")


def apply_samples(kubectl: Kubectl, namespace: str) -> None:
    """What a user types."""
    kubectl("apply", "-n", namespace, "-k", str(ROOT / "manifests/samples"))


def make_claim(kubectl: Kubectl, namespace: str) -> Any:
    """The PersistentVolumeClaim of the samples, and on our own node the volume behind it."""
    raise NotImplementedError
