"""Reconcilers against servers and an API server that are late, gone or asked by several at once."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from rvc.proof import Signer
from rvc_operator.api.names import MANAGED_BY_LABEL, MANAGER
from rvc_operator.api.objects import Pod
from rvc_operator.metrics.meters import Meters
from rvc_operator.runtime.cache import Body, Cache, Key, Kind
from rvc_operator.runtime.conversions import Conversions
from rvc_operator.runtime.pods import Pods
from rvc_operator.runtime.shell import NameTaken, NotYet, Shell

from . import factory
from .api_server import ApiServer
from .factory import CONFIG, NOW
from .manifests import voice_spec
from .stand_ins import Server, free_address
from .test_conversion_plan import GIVEN, NEW, available
from .test_conversion_plan import plan as plan_of
from .test_serving_plan import REVISION

[(_, A_REQUEST)] = plan_of(NEW).start


class Place:
    """A namespace that a reconciler works on."""

    def __init__(self, api: ApiServer, shell: Shell) -> None:
        self.api = api
        self.shell = shell
        self.conversions = Conversions(shell)

    def put(self, kind: Kind, body: Body) -> Key:
        """An object that both the API server and the operator know."""
        self.shell.record(kind, self.api.put(kind, body))
        return Key(kind, "test", body["metadata"]["name"])

    def status(self, key: Key) -> dict[str, Any]:
        """The status as the API server has it."""
        status: dict[str, Any] = self.api.objects[key]["status"]
        return status

    def assigned(self, key: Key) -> int:
        """How many shards of a Conversion have a server."""
        return sum("assignment" in shard for shard in self.status(key).get("shards", []))


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    api = ApiServer()
    kube, pods = await api.start(), Pods(Signer(bytes(32)))
    yield Place(api, Shell(CONFIG, Cache(), kube, pods, lambda: NOW, lambda change: None, Meters()))
    await pods.close()
    await kube.close()
    await api.stop()


def pod_at(ip: str, phase: str = "Running") -> Body:
    """The server named a, at an address."""
    pod: Pod = factory.server("a", REVISION)
    body: Body = msgspec.to_builtins(pod)
    body["status"] |= {"podIP": ip, "phase": phase}
    return body


def named(name: str, uid: str = "") -> Body:
    """A new Conversion."""
    body = factory.conversion()
    return body | {"metadata": body["metadata"] | {"name": name, "uid": uid or f"uid-{name}"}}


def given_to(ip: str) -> Body:
    """A Conversion that the server a works on."""
    [shard] = GIVEN["status"]["shards"]
    assigned = shard | {"assignment": shard["assignment"] | {"podIP": ip}}
    return GIVEN | {"status": GIVEN["status"] | {"shards": [assigned]}}


async def test_a_server_that_cannot_be_asked_does_not_keep_a_suspension_from_being_written(
    place: Place,
) -> None:
    silent = free_address()
    place.put(Kind.POD, pod_at(silent))
    key = place.put(Kind.CONVERSION, factory.edited(given_to(silent), suspend=True))
    await place.conversions.reconcile(key)
    assert place.status(key)["conditions"][0]["reason"] == "Suspended"
    assert place.assigned(key), "it may still be at work"


async def test_a_server_that_did_not_hear_of_a_suspension_is_told_again_by_another_operator(
    place: Place,
) -> None:
    server = Server()
    place.put(Kind.POD, pod_at(server.ip))
    key = place.put(Kind.CONVERSION, factory.edited(given_to(server.ip), suspend=True))
    assert await place.conversions.reconcile(key) == place.shell.config.poll_seconds
    another = Conversions(place.shell)
    await server.start()
    server.known[GIVEN["metadata"]["uid"]] = A_REQUEST
    assert await another.reconcile(key) == place.shell.config.poll_seconds
    assert (server.known, place.assigned(key)) == ({}, 1), "it has not been asked since"
    assert await another.reconcile(key) is None
    assert place.assigned(key) == 0
    await server.stop()


async def test_a_server_that_did_not_hear_of_a_deletion_is_told_again(place: Place) -> None:
    server = Server()
    place.put(Kind.POD, pod_at(server.ip))
    key = place.put(Kind.CONVERSION, given_to(server.ip))
    await place.conversions.reconcile(key)
    del place.api.objects[key]
    place.shell.cache.remove(Kind.CONVERSION, place.shell.cache.get(key) or {})
    assert await place.conversions.reconcile(key) == place.shell.config.poll_seconds
    await server.start()
    server.known[GIVEN["metadata"]["uid"]] = A_REQUEST
    assert await place.conversions.reconcile(key) is None
    assert server.known == {}
    await server.stop()


async def test_a_server_that_cannot_be_asked_does_not_hold_up_another_conversion_of_the_name(
    place: Place,
) -> None:
    silent = free_address()
    pod = place.put(Kind.POD, pod_at(silent))
    key = place.put(Kind.CONVERSION, given_to(silent))
    await place.conversions.reconcile(key)
    del place.api.objects[key]
    place.shell.cache.remove(Kind.CONVERSION, place.shell.cache.get(key) or {})
    await place.conversions.reconcile(place.put(Kind.CONVERSION, named("hello", "another")))
    assert place.status(key)["conditions"][0]["reason"] == "WaitingForVoice"
    assert pod in place.api.objects


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
async def test_a_server_that_has_ended_is_not_asked(place: Place, phase: str) -> None:
    # Its address may be another pod's by now.
    server = Server()
    await server.start()
    place.put(Kind.POD, pod_at(server.ip, phase))
    key = place.put(Kind.CONVERSION, given_to(server.ip))
    await place.conversions.reconcile(key)
    assert (server.requests, place.assigned(key)) == ([], 0)
    await server.stop()


async def test_conversions_that_are_looked_at_together_share_the_places_of_a_server(place: Place) -> None:
    server = Server()
    await server.start()
    place.put(Kind.VOICE, available() | {"spec": voice_spec(serving={"conversionsPerReplica": 2})})
    place.put(Kind.POD, pod_at(server.ip))
    keys = [place.put(Kind.CONVERSION, named(name)) for name in "abcde"]
    await asyncio.gather(*map(place.conversions.reconcile, keys))
    assert sum(map(place.assigned, keys)) == len(server.known) == 2
    await server.stop()


OWNED = [{"uid": "uid-of-a-deleted-voice", "controller": True}]


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"deletionTimestamp": factory.moment(NOW)}, NotYet),
        ({"ownerReferences": OWNED}, NotYet),
        ({}, NameTaken),
    ],
)
async def test_children_of_a_deleted_voice_are_waited_for_only_if_they_go(
    place: Place, metadata: Body, expected: type[Exception]
) -> None:
    identity = {
        "name": "alice-server",
        "namespace": "test",
        "uid": "1",
        "labels": {MANAGED_BY_LABEL: MANAGER},
    }
    place.put(Kind.SERVICE, {"metadata": identity | metadata})
    with pytest.raises(expected):
        await place.shell.apply(Kind.SERVICE, {"metadata": identity}, "uid-alice")
