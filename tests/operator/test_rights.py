"""The operator does its work with the rights of `manifests/base`, and no others."""

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from rvc_operator.runtime.cache import Kind

from .manifests import conversion_spec, voice_spec
from .process import REPOSITORY
from .world import World

pytestmark = pytest.mark.cluster


async def test_the_rights_of_the_manifests_are_enough(lone_world: World, tmp_path: Path) -> None:
    world = lone_world
    # A namespace-restricted installation: the same rules, bound in one namespace only.
    documents = yaml.safe_load_all((REPOSITORY / "manifests" / "base" / "role.yaml").read_text())
    role = next(one for one in documents if one["kind"] == "ClusterRole")
    name = f"operator-{world.namespace}"
    world.kubectl.apply(
        role | {"metadata": {"name": name}},
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "operator", "namespace": world.namespace},
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "operator", "namespace": world.namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": "operator", "namespace": world.namespace}],
        },
    )
    subject = {"kind": "ServiceAccount", "name": "operator", "namespace": world.namespace}
    world.kubectl.apply(_key_binding() | {"subjects": [subject]})
    token = await _token(world)
    world.operator.kubeconfig = _with_token(world.operator.kubeconfig, tmp_path / "kubeconfig", token)
    world.operator.start()
    await world.create(Kind.VOICE, "alice", voice_spec(serving={"idleTimeoutSeconds": 1}))
    await world.create(Kind.CONVERSION, "hello", conversion_spec(ttlSecondsAfterFinished=2))
    await world.until_ready(Kind.CONVERSION, "hello", "True", "Converted")

    async def at_rest() -> bool:
        deployments = await world.all(Kind.DEPLOYMENT)
        return await world.all(Kind.CONVERSION) == [] and deployments[0]["spec"]["replicas"] == 0

    await world.until("servers and Conversion have gone", at_rest)
    assert "Converted" in world.events()
    assert "403" not in world.operator.log()


def _key_binding() -> dict[str, Any]:
    """That of the Role on the Secret of the operator's key pair."""
    documents = yaml.safe_load_all((REPOSITORY / "manifests" / "base" / "operator-key.yaml").read_text())
    (binding,) = (one for one in documents if one["kind"] == "RoleBinding")
    return binding | {"metadata": {"name": binding["metadata"]["name"], "namespace": "rvc-system"}}


async def _token(world: World) -> str:
    """Token of the service account, made by the controller manager."""
    found: list[str] = []

    async def made() -> bool:
        secrets = world.kubectl.json("get", "secrets", f"--namespace={world.namespace}")["items"]
        found[:] = [
            one["data"]["token"]
            for one in secrets
            if one["metadata"].get("annotations", {}).get("kubernetes.io/service-account.name") == "operator"
            and "token" in one.get("data", {})
        ]
        return bool(found)

    await world.until("the service account has a token", made)
    return base64.b64decode(found[0]).decode()


def _with_token(original: Path, path: Path, token: str) -> Path:
    content = yaml.safe_load(original.read_text())
    content["users"][0]["user"] = {"token": token}
    path.write_text(yaml.safe_dump(content))
    return path
