"""The operator does its work with the rights of the manifests, and no others."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from rvc_operator.runtime.cache import Kind
from tests.manifests.documents import build

from .manifests import conversion_spec, voice_spec
from .process import REPOSITORY
from .world import World

pytestmark = pytest.mark.cluster


async def test_the_rights_of_an_installation_for_one_namespace_are_enough(
    lone_world: World, tmp_path: Path
) -> None:
    world = lone_world
    world.kubectl.apply(*_installation(world.namespace))
    token = await _token(world)
    world.operator.kubeconfig = _with_token(world.operator.kubeconfig, tmp_path / "kubeconfig", token)
    world.operator.start(POD_NAMESPACE=world.namespace)
    await world.create(
        Kind.VOICE, "alice", voice_spec(serving={"idleTimeoutSeconds": 1}, deletionPolicy="Delete")
    )
    await world.create(Kind.CONVERSION, "hello", conversion_spec(ttlSecondsAfterFinished=2))
    await world.until_ready(Kind.CONVERSION, "hello", "True", "Converted")

    async def at_rest() -> bool:
        deployments = await world.all(Kind.DEPLOYMENT)
        return await world.all(Kind.CONVERSION) == [] and deployments[0]["spec"]["replicas"] == 0

    await world.until("servers and Conversion have gone", at_rest)
    await world.delete(Kind.VOICE, "alice")

    async def gone() -> bool:
        return await world.names(Kind.VOICE) == []

    await world.until("the voice has gone, with its files", gone)
    assert "Converted" in world.events()
    assert "CleanUpFailed" not in world.events()
    assert "403: " not in world.operator.log()
    assert "Forbidden" not in world.operator.log()


def _installation(namespace: str) -> list[dict[str, Any]]:
    """What the overlay brings into a namespace, but for the operator itself."""
    text = json.dumps(build(REPOSITORY / "manifests" / "overlays" / "namespaced"))
    objects = json.loads(text.replace('"voices"', f'"{namespace}"'))
    return [one for one in objects if one["kind"] != "Deployment"]


async def _token(world: World) -> str:
    """Token of the service account, made by the controller manager."""
    found: list[str] = []

    async def made() -> bool:
        secrets = world.kubectl.json("get", "secrets", f"--namespace={world.namespace}")["items"]
        found[:] = [
            one["data"]["token"]
            for one in secrets
            if one["metadata"].get("annotations", {}).get("kubernetes.io/service-account.name")
            == "rvc-operator"
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
