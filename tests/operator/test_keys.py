"""The operator's key pair: made once, by whoever comes first, and the same for all who come later."""

import asyncio
import base64
from collections.abc import Iterator
from dataclasses import replace

import pytest
from kubernetes.aio import config as kube_config
from kubernetes.aio.client import Configuration

from rvc.proof import Signer
from rvc_operator.build.server import server_deployment
from rvc_operator.runtime.keys import KEY_ENTRY, KEY_SECRET, wait_for_signer
from rvc_operator.runtime.kube import Kube
from tests.cluster.control_plane import ControlPlane

from .factory import CONFIG
from .test_build import CPU, REVISION, artifact, voice

EMPTY = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": KEY_SECRET, "namespace": "keys"},
    "type": "Opaque",
}


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    control_plane.kubectl("create", "namespace", "keys")
    yield control_plane
    control_plane.kubectl("delete", "namespace", "keys")


async def kube_of(control_plane: ControlPlane) -> Kube:
    configuration = Configuration()
    await kube_config.load_kube_config(str(control_plane.kubeconfig), client_configuration=configuration)
    return Kube(configuration)


def no_pause(asked: asyncio.Event | None = None) -> Iterator[float]:
    while True:
        if asked is not None:
            asked.set()
        yield 0.01


@pytest.mark.cluster
async def test_operators_that_start_together_have_one_key_pair(namespace: ControlPlane) -> None:
    namespace.kubectl.apply(EMPTY)
    operators = [await kube_of(namespace) for _ in range(8)]
    signers = await asyncio.gather(*(wait_for_signer(one, "keys", no_pause()) for one in operators))
    assert len({signer.public_key for signer in signers}) == 1
    # The manifests once more, as a GitOps tool applies them, and a restart.
    namespace.kubectl.apply(EMPTY)
    again = await wait_for_signer(operators[0], "keys", no_pause())
    assert again.public_key == signers[0].public_key
    for operator in operators:
        await operator.close()


@pytest.mark.cluster
async def test_a_secret_that_is_missing_or_spoilt_is_waited_for(
    namespace: ControlPlane, caplog: pytest.LogCaptureFixture
) -> None:
    kube = await kube_of(namespace)
    spoilt = EMPTY | {"data": {KEY_ENTRY: base64.b64encode(b"short").decode()}}
    for said, manifest in (("apply the operator's manifests", spoilt), ("remove its data", EMPTY)):
        failed = asyncio.Event()
        waiting = asyncio.create_task(wait_for_signer(kube, "keys", no_pause(failed)))
        await failed.wait()
        assert said in caplog.text
        waiting.cancel()
        namespace.kubectl.apply(manifest)
    signer = await wait_for_signer(kube, "keys", no_pause())
    secret = await kube.secret("keys", KEY_SECRET)
    assert Signer(base64.b64decode(secret["data"][KEY_ENTRY])).public_key == signer.public_key
    assert secret["data"][KEY_ENTRY] not in caplog.text
    await kube.close()


def test_another_key_pair_rolls_the_servers_over() -> None:
    rotated = replace(CONFIG, public_key=Signer(bytes(32)).public_key)
    one, two = (
        server_deployment(voice(CPU), config, artifact(CPU), REVISION, 1) for config in (CONFIG, rotated)
    )
    assert one["metadata"]["annotations"] != two["metadata"]["annotations"]
    assert one["spec"]["template"] != two["spec"]["template"]
