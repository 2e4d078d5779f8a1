"""The cluster of demo and end-to-end tests: made here, or (CLUSTER=current) the one that kubectl talks to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster import current, images
from tests.cluster.kubectl import Kubectl
from tests.cluster.layout import ClusterError
from tests.cluster.node import Node
from tests.cluster.report import step

ROOT = Path(__file__).resolve().parents[2]
OPERATOR_NAMESPACE = "rvc-system"
LABEL = "rvc-demo"
"""Label of namespaces that demo and tests made, and may therefore empty."""


def ready() -> tuple[Kubectl, dict[str, str]]:
    """kubectl on a cluster that runs our operator, and the names of our images there by program."""
    if current.chosen():
        current.require_reachable()
        kubectl, names = Kubectl(current.kubeconfig()), current.image_names()
    else:
        node = Node()
        archives = images.build(list(images.NAMES))
        node.up()
        with step("Giving the images to the node", "half a minute; at once when it has them"):
            node.load(archives.values())
        kubectl, names = node.kubectl, images.NAMES
    install(kubectl, names)
    return kubectl, names


@contextmanager
def borrowed() -> Iterator[tuple[Kubectl, dict[str, str]]]:
    """`ready()` for a while: a cluster that was not there before is removed afterwards."""
    own = not current.chosen() and not Node().running
    try:
        yield ready()
    finally:
        if own:
            Node().down()


def install(kubectl: Kubectl, names: dict[str, str]) -> None:
    """CRDs first, then the operator; waits until it runs."""
    # Servers before 1.25 have no CEL rules: they drop them, and kubectl's own validation would refuse them.
    kubectl("apply", "--validate=false", "-k", str(ROOT / "crds"))
    kinds = ("crd/voicemodels.voice.rvc.dev", "crd/conversions.voice.rvc.dev")
    kubectl("wait", "--for=condition=Established", *kinds, "--timeout=60s")
    deployment = ("-n", OPERATOR_NAMESPACE, "deployment/rvc-operator")
    known = kubectl("get", *deployment, "--ignore-not-found", "-o", "name")
    manifests = kubectl("kustomize", str(ROOT / "manifests/overlays/local"))
    for program, name in images.NAMES.items():
        manifests = manifests.replace(name, names[program])
    kubectl("apply", "-f", "-", stdin=manifests)
    if known:
        # Our local images keep their names when they change.
        kubectl("rollout", "restart", *deployment)
    with step("Starting the operator", "10 s"):
        kubectl("rollout", "status", *deployment, "--timeout=180s")


def own_namespace(kubectl: Kubectl, name: str) -> None:
    """A namespace of ours, with the claim of the samples and no voices; somebody else's is not touched."""
    found = kubectl("get", "namespace", name, "--ignore-not-found", "--show-labels", "--no-headers")
    if found and f"{LABEL}=true" not in found:
        raise ClusterError(f"the namespace {name} is not ours to empty: it has no label {LABEL}=true")
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {LABEL: "true"}},
    }
    kubectl.apply(namespace)
    kubectl("delete", "voicemodels,conversions", "-n", name, "--all", "--timeout=120s")
    kubectl("apply", "-n", name, "-f", str(ROOT / "manifests/samples/claim.yaml"))
