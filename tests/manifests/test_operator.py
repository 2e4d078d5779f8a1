"""The operator's own manifests: what it may do, how it runs, which images it is told of."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from rvc.contract import CONTENT_PRODUCER_VARIABLE
from rvc_operator.accelerators import Accelerator, builtin_accelerators
from rvc_operator.config import load_config
from rvc_operator.runtime.keys import KEY_SECRET

from .documents import MANIFESTS, OVERLAYS, ROOT, build, one

KUSTOMIZATIONS = sorted(path.parent for path in MANIFESTS.rglob("kustomization.yaml"))


@pytest.mark.parametrize("folder", [*KUSTOMIZATIONS, ROOT / "crds"], ids=lambda path: path.name)
def test_every_kustomization_builds(folder: Any) -> None:
    assert build(folder)


def test_one_secret_is_the_operators_and_no_other() -> None:
    role = one(build(MANIFESTS / "base"), "Role")
    assert role["metadata"]["namespace"] == "rvc-system"
    assert role["rules"] == [
        {
            "apiGroups": [""],
            "resources": ["secrets"],
            "resourceNames": [KEY_SECRET],
            "verbs": ["get", "patch"],
        }
    ]
    secret = one(build(MANIFESTS / "base"), "Secret")["metadata"]
    assert (secret["name"], secret["namespace"]) == (KEY_SECRET, "rvc-system")


def rules() -> list[dict[str, Any]]:
    role: dict[str, Any] = one(build(MANIFESTS / "base"), "ClusterRole")
    return list(role["rules"])


def test_the_operator_reads_no_secrets_and_opens_no_shells() -> None:
    named = {resource for rule in rules() for resource in rule["resources"]}
    assert named == {
        "voicemodels", "conversions", "voicemodels/status", "conversions/status", "voicemodels/finalizers",
        "jobs", "deployments", "services", "pods", "events",
    }  # fmt: skip


def test_the_operator_may_do_nothing_by_wildcard() -> None:
    for rule in rules():
        assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
        assert not {"escalate", "bind", "impersonate", "deletecollection"} & set(rule["verbs"])


def test_of_its_own_kinds_the_operator_writes_finalizers_of_voices_and_no_spec() -> None:
    for rule in rules():
        if {"voicemodels", "conversions"} & set(rule["resources"]):
            assert not {"create", "update"} & set(rule["verbs"])
            assert "patch" not in rule["verbs"] or rule["resources"] == ["voicemodels"]


def test_the_role_is_bound_to_the_operators_account_in_its_namespace() -> None:
    objects = build(MANIFESTS / "base")
    (subject,) = one(objects, "ClusterRoleBinding")["subjects"]
    account = one(objects, "ServiceAccount")["metadata"]
    assert (subject["name"], subject["namespace"]) == (account["name"], account["namespace"])
    role = one(objects, "ClusterRole")["metadata"]["name"]
    assert one(objects, "ClusterRoleBinding")["roleRef"]["name"] == role
    pod = one(objects, "Deployment")["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == account["name"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_pod_is_restricted_as_its_namespace_demands(overlay: str) -> None:
    objects = build(MANIFESTS / overlay)
    (labels,) = (
        item["metadata"]["labels"]
        for item in objects
        if item["kind"] == "Namespace" and item["metadata"]["name"] == "rvc-system"
    )
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    pod = one(objects, "Deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    assert all({"emptyDir", "configMap"} & set(volume) for volume in pod["volumes"])
    for container in pod["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_there_is_never_more_than_one_operator(overlay: str) -> None:
    spec = one(build(MANIFESTS / overlay), "Deployment")["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "Recreate"}


@pytest.mark.parametrize(
    ("overlay", "registry"), [("overlays/local", "localhost/"), ("overlays/acs", "registry.")]
)
def test_an_overlay_names_all_three_images(overlay: str, registry: str) -> None:
    pod = one(build(MANIFESTS / overlay), "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    variables = {entry["name"]: entry.get("value") for entry in container["env"]}
    images = [container["image"], variables["RVC_TRAINER_IMAGE"], variables["RVC_SERVER_IMAGE"]]
    for image, name in zip(images, ("rvc-operator", "rvc-trainer", "rvc-inference"), strict=True):
        assert image.startswith(registry)
        assert image.partition(":")[0].endswith(f"/{name}")


def test_the_acs_overlay_spells_out_the_accelerators_that_are_built_in(tmp_path: Path) -> None:
    objects = build(MANIFESTS / "overlays/acs")
    catalogue = one(objects, "ConfigMap")
    pod = one(objects, "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (volume,) = (each for each in pod["volumes"] if "configMap" in each)
    (mount,) = (each for each in container["volumeMounts"] if each["name"] == volume["name"])
    assert volume["configMap"]["name"] == catalogue["metadata"]["name"]
    assert catalogue["metadata"]["namespace"] == "rvc-system"
    environment = {each["name"]: each["value"] for each in container["env"] if "value" in each}
    named = Path(environment["RVC_ACCELERATORS_FILE"])
    assert str(named.parent) == mount["mountPath"]
    (tmp_path / named.name).write_text(catalogue["data"][named.name])
    config = load_config(environment | {"RVC_ACCELERATORS_FILE": str(tmp_path / named.name)})
    builtin = builtin_accelerators()
    assert list(config.accelerators) == list(builtin)
    on_acs = {"alibabacloud.com/enable-network-policy-agent": "true"}
    assert config.accelerators["CPU"] == structs.replace(builtin["CPU"], annotations=on_acs)
    for model in set(builtin) - {"CPU"}:
        written = config.accelerators[model]
        assert structs.replace(written, trainer_image="", server_image="") == builtin[model]
        on_its_own_torch = builtin[model].resource_name == "nvidia.com/gpu"
        assert (bool(written.trainer_image), bool(written.server_image)) == (on_its_own_torch,) * 2


def test_the_acs_overlay_names_every_field_of_the_catalogue() -> None:
    comments = (MANIFESTS / "overlays/acs/accelerators.yaml").read_text().partition("\nP16EN:")[0]
    assert re.findall(r"^#   (\w+):", comments, re.MULTILINE) == list(Accelerator.__struct_encode_fields__)


def test_who_makes_the_files_is_said_in_the_acs_overlay() -> None:
    """`docs/acs.md` tells to fill it in; empty it is as if it were not there."""
    pod = one(build(MANIFESTS / "overlays/acs"), "Deployment")["spec"]["template"]["spec"]
    (entry,) = (each for each in pod["containers"][0]["env"] if each["name"] == CONTENT_PRODUCER_VARIABLE)
    images = {"RVC_TRAINER_IMAGE": "trainer", "RVC_SERVER_IMAGE": "server"}
    assert load_config(images | {entry["name"]: entry.get("value", "")}) == load_config(images)
    named = load_config(images | {entry["name"]: "91330106MA2CFLDG4R"})
    assert named.content_producer == "91330106MA2CFLDG4R"


def test_the_crds_have_no_field_that_kubernetes_1_28_does_not_know() -> None:
    """`kubectl apply` refuses unknown fields; this one came with 1.30."""
    for crd in build(ROOT / "crds"):
        assert all("selectableFields" not in version for version in crd["spec"]["versions"])


def test_gitops_tools_never_prune_the_crds() -> None:
    for crd in build(ROOT / "crds"):
        annotations = crd["metadata"]["annotations"]
        assert "Prune=false" in annotations["argocd.argoproj.io/sync-options"]
        assert annotations["kustomize.toolkit.fluxcd.io/prune"] == "disabled"


def test_no_manifest_holds_a_secret() -> None:
    for folder in KUSTOMIZATIONS:
        assert not any(
            item.keys() & {"data", "stringData"} for item in build(folder) if item["kind"] == "Secret"
        )
