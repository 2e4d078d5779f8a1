"""The node as demo and end-to-end test rely on it: pods, storage, services; nothing left at the end."""

from pathlib import Path
from typing import Any

import pytest

from .cgroups import Cgroup
from .machine import interfaces, mounts_mentioning, processes_mentioning, settings
from .node import Node
from .node_components import PAUSE_IMAGE

pytestmark = pytest.mark.node

USER = 10001
READY = "--for=condition=Ready"


def busybox_pod(name: str, script: str, *, claim: str | None = None) -> dict[str, Any]:
    """A pod as restricted as ours, that runs a shell script in the image of busybox alone."""
    volumes: list[dict[str, Any]] = [{"name": "scratch", "emptyDir": {}}]
    mounts = [{"name": "scratch", "mountPath": "/tmp"}]
    if claim:
        volumes.append({"name": "data", "persistentVolumeClaim": {"claimName": claim}})
        mounts.append({"name": "data", "mountPath": "/data"})
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "runAsGroup": USER,
                "fsGroup": USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "main",
                    "image": PAUSE_IMAGE,
                    "imagePullPolicy": "Never",
                    "command": ["/busybox", "sh", "-c", script],
                    "securityContext": {
                        "readOnlyRootFilesystem": True,
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "volumeMounts": mounts,
                }
            ],
            "volumes": volumes,
        },
    }


CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "recordings"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}


def succeeded(node: Node, pod: str) -> str:
    """Wait until a pod has succeeded and return what it said."""
    node.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", f"pod/{pod}", "--timeout=60s")
    return node.kubectl("logs", pod)


def test_restricted_pod_writes_to_its_claim_and_nowhere_else(node: Node) -> None:
    script = "echo spoken >/data/file && echo brief >/tmp/file && ! (echo no >/file) 2>/dev/null && id -u"
    node.kubectl.apply(CLAIM, busybox_pod("writer", script, claim="recordings"))
    assert succeeded(node, "writer").strip() == str(USER)
    written = node.volume_folder("recordings") / "file"
    assert written.read_text() == "spoken\n"
    assert written.stat().st_uid == USER


def test_pods_reach_each_other_by_cluster_address(node: Node) -> None:
    server = busybox_pod("server", "cd /tmp && echo hello >index.html && exec /busybox httpd -f -p 8080")
    server["spec"]["containers"][0]["readinessProbe"] = {
        "httpGet": {"path": "/", "port": 8080},
        "periodSeconds": 1,
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "server"},
        "spec": {"selector": {"app": "server"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }
    node.kubectl.apply(server, service)
    node.kubectl("wait", READY, "pod/server", "--timeout=60s")
    address = node.kubectl.json("get", "service", "server")["spec"]["clusterIP"]
    # The proxy learns of a new endpoint a moment after it is ready.
    request = f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 5 {address} 80"
    asking = f"until {request} | grep hello; do sleep 1; done"
    node.kubectl.apply(busybox_pod("client", asking))
    assert succeeded(node, "client") == "hello\n"
    assert node.kubectl("exec", "server", "--", "/busybox", "cat", "/tmp/index.html") == "hello\n"


def test_down_leaves_the_machine_as_it_was(tmp_path: Path) -> None:
    before = interfaces(), settings()
    folder = tmp_path / "cluster"
    node = Node(folder)
    node.up(bound_to_caller=True)
    node.kubectl.apply(CLAIM, busybox_pod("sleeper", "sleep 3600", claim="recordings"))
    node.kubectl("wait", READY, "pod/sleeper", "--timeout=60s")
    cgroups = Cgroup(node.cgroup_name).folders
    assert cgroups
    assert processes_mentioning(str(folder))

    node.down()

    assert (interfaces(), settings()) == before
    assert mounts_mentioning(str(folder)) == []
    assert [path for path in cgroups if path.exists()] == []
    assert processes_mentioning(str(folder)) == []
    assert not folder.exists()
    assert not node.running


def test_up_replaces_a_cluster_that_was_killed(tmp_path: Path) -> None:
    node = Node(tmp_path / "cluster")
    node.up(bound_to_caller=True)
    node.kill()
    assert node.kubeconfig.exists()
    node.up(bound_to_caller=True)
    try:
        assert "node/node" in node.kubectl("get", "nodes", "--output=name")
    finally:
        node.down()
