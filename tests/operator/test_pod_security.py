"""Every pod that the operator makes satisfies the `restricted` Pod Security Standard."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rvc_operator.build.pod import Manifest
from tests.cluster.control_plane import ControlPlane
from tests.cluster.layout import ClusterError

from .manifests import voice_spec
from .test_build import SPECS, manifests

VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected",
    "secret",
}  # fmt: skip


def templates(spec: Manifest) -> Iterator[Manifest]:
    """Pod templates of the trainer and of the servers."""
    for manifest in manifests(spec):
        if manifest["kind"] != "Service":
            yield manifest["spec"]["template"]


def violations(template: Manifest) -> list[str]:
    """What the standard forbids, level restricted with all of baseline, as of Kubernetes 1.34."""
    pod = template["spec"]
    containers = [*pod["containers"], *pod.get("initContainers", []), *pod.get("ephemeralContainers", [])]
    contexts = [pod.get("securityContext", {}), *(one.get("securityContext", {}) for one in containers)]
    annotations = template["metadata"].get("annotations", {})
    rules = {
        "host namespaces": any(pod.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")),
        "host ports": any(port.get("hostPort") for one in containers for port in one.get("ports", [])),
        "hosts of probes": any(
            "host" in handler
            for one in containers
            for probe in ("livenessProbe", "readinessProbe", "startupProbe")
            for handler in one.get(probe, {}).values()
            if isinstance(handler, dict)
        ),
        "volume types": any(not (volume.keys() - {"name"} <= VOLUMES) for volume in pod.get("volumes", [])),
        "privileged": any(context.get("privileged") for context in contexts),
        "escalation": any(
            one.get("securityContext", {}).get("allowPrivilegeEscalation") is not False for one in containers
        ),
        "root": any(context.get("runAsUser") == 0 for context in contexts)
        or not pod.get("securityContext", {}).get("runAsNonRoot")
        or any(context.get("runAsNonRoot") is False for context in contexts),
        "seccomp": not _seccomp(pod.get("securityContext", {}))
        or any("seccompProfile" in context and not _seccomp(context) for context in contexts),
        "capabilities": any(
            "ALL" not in _capabilities(one).get("drop", [])
            or set(_capabilities(one).get("add", [])) - {"NET_BIND_SERVICE"}
            for one in containers
        ),
        "selinux, sysctls, proc, windows": any(
            context.keys() & {"seLinuxOptions", "sysctls", "procMount", "windowsOptions", "appArmorProfile"}
            for context in contexts
        ),
        "apparmor": any(name.startswith("container.apparmor.security") for name in annotations),
    }
    return [name for name, broken in rules.items() if broken]


def _seccomp(context: Manifest) -> bool:
    return context.get("seccompProfile", {}).get("type") in ("RuntimeDefault", "Localhost")


def _capabilities(container: Manifest) -> Manifest:
    capabilities: dict[str, Any] = container.get("securityContext", {}).get("capabilities", {})
    return capabilities


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_pods_are_restricted(spec: Manifest) -> None:
    for template in templates(spec):
        assert violations(template) == []


@settings(deadline=None, max_examples=50)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "labels": st.just({"team": "a"}),
            "nodeSelector": st.just({"zone": "a"}),
            "tolerations": st.just([{"operator": "Exists"}]),
            "priorityClassName": st.just("system-node-critical"),
            "schedulerName": st.just("mine"),
            "imagePullSecrets": st.just([{"name": "registry"}]),
            "securityContext": st.just({"privileged": True}),
            "hostNetwork": st.just(True),
            "volumes": st.just([{"name": "root", "hostPath": {"path": "/"}}]),
            "containers": st.just([{"name": "mine", "image": "mine"}]),
        },
    )
)
def test_no_pod_template_of_a_user_loosens_them(template: Manifest) -> None:
    for made in templates(voice_spec(podTemplate=template)):
        assert violations(made) == []
        assert [one["name"] for one in made["spec"]["containers"]] in (["trainer"], ["server"])


@pytest.mark.cluster
def test_a_real_api_server_admits_them_in_a_restricted_namespace(control_plane: ControlPlane) -> None:
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": "restricted",
            "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
        },
    }
    control_plane.kubectl.apply(namespace)
    control_plane.kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "rrsa", "namespace": "restricted"},
        }
    )
    with suppress(ClusterError):
        control_plane.kubectl("run", "anything", "--image=busybox", "--namespace=restricted")
        pytest.skip("this API server is older than Pod Security (1.23); see KUBE_BIN_DIR")
    for name, spec in SPECS.items():
        for number, template in enumerate(templates(spec)):
            pod = {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": template["metadata"] | {"name": f"{name}-{number}", "namespace": "restricted"},
                "spec": template["spec"] | {"priorityClassName": ""},
            }
            control_plane.kubectl.apply(pod)
