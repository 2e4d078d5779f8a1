"""The control plane as other tests rely on it: it serves, it is alone, and it leaves nothing."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .control_plane import ControlPlane
from .layout import REPOSITORY
from .machine import processes_mentioning

pytestmark = pytest.mark.cluster

WIDGETS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.tests.rvc.dev"},
    "spec": {
        "group": "tests.rvc.dev",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "properties": {"size": {"type": "integer", "maximum": 3}},
                            }
                        },
                    }
                },
            }
        ],
    },
}


def test_custom_resources_are_stored_and_checked(control_plane: ControlPlane) -> None:
    kubectl = control_plane.kubectl
    kubectl.apply(WIDGETS)
    kubectl("wait", "--for=condition=Established", "crd/widgets.tests.rvc.dev", "--timeout=30s")
    widget = {
        "apiVersion": "tests.rvc.dev/v1",
        "kind": "Widget",
        "metadata": {"name": "small"},
        "spec": {"size": 2},
    }
    kubectl.apply(widget)
    assert kubectl.json("get", "widgets", "small")["spec"] == {"size": 2}
    with pytest.raises(Exception, match="less than or equal to 3"):
        kubectl.apply({**widget, "spec": {"size": 4}})


def test_controllers_are_at_work(control_plane: ControlPlane) -> None:
    kubectl = control_plane.kubectl
    kubectl("create", "job", "waiting", "--image=localhost/none:1", "--", "true")
    kubectl("wait", "--for=create", "pod", "--selector=job-name=waiting", "--timeout=30s")
    kubectl("delete", "job", "waiting", "--cascade=foreground", "--timeout=30s")
    assert kubectl("get", "pods", "--selector=job-name=waiting", "--output=name") == ""


def test_stop_leaves_no_process_and_no_file(tmp_path: Path) -> None:
    folder = tmp_path / "control-plane"
    with ControlPlane.start(folder) as running:
        assert running.kubeconfig.is_relative_to(folder)
        assert processes_mentioning(str(folder))
    assert processes_mentioning(str(folder)) == []
    assert not folder.exists()


def test_killing_the_user_ends_the_control_plane(tmp_path: Path) -> None:
    folder = tmp_path / "control-plane"
    script = (
        "import sys; from pathlib import Path; from tests.cluster.control_plane import ControlPlane\n"
        "running = ControlPlane.start(Path(sys.argv[1])); print(running.pid, flush=True); running.wait()"
    )
    user = subprocess.Popen(
        [sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    )
    assert user.stdout is not None
    supervisor = os.pidfd_open(int(user.stdout.readline()))
    user.send_signal(signal.SIGKILL)
    user.wait()
    assert wait_for_exit(supervisor, seconds=30)
    assert processes_mentioning(str(folder)) == []
    assert not folder.exists()


def wait_for_exit(pidfd: int, seconds: float) -> bool:
    """Whether the process behind a pidfd ends in time."""
    return bool(select.select([pidfd], [], [], seconds)[0])
