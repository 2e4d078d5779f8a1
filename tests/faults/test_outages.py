"""Outages of minutes, silent watches: the process lives on, asks seldom, and comes right by itself.

The operator is the whole process with kopf and all settings as they are shipped, on a clock that runs twenty
times as fast (`hurried`): five minutes of it are fifteen seconds here.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from rvc_operator.runtime.cache import Kind
from tests.operator.kubelet import Exit, Work
from tests.operator.manifests import conversion_spec, voice_spec
from tests.operator.process import OperatorProcess

from .places import Place, Places
from .proxy import Asked, Fault, refuse, say_gone, stay_mute
from .upstream import proxied

pytestmark = pytest.mark.cluster

FACTOR = 20
FIVE_MINUTES = 300
AS_SHIPPED = {"RVC_POLL_SECONDS": "3", "RVC_RETRY_SECONDS": "10", "RVC_RETRY_LIMIT_SECONDS": "600"}
SHORT_RESYNC = {"RVC_RESYNC_SECONDS": "60"}
"""Three missed listings, a death of old, are over long before five minutes are."""


class Outlying(Place):
    """A place whose operator is a process in a hurry."""

    operator: OperatorProcess  # type: ignore[assignment]


@pytest.fixture
async def place(many: Places, tmp_path: Path) -> AsyncIterator[Outlying]:
    async with many.open() as made:
        kubeconfig = proxied(tmp_path, made.proxy.url)
        process = OperatorProcess(
            kubeconfig, made.namespace, tmp_path / "log", ("tests.faults.hurried", str(FACTOR))
        )
        outlying = Outlying(made.kube, made.kubectl, process, made.namespace, made.kubelet)
        outlying.proxy = made.proxy
        yield outlying
        process.stop()


async def test_five_minutes_of_503_are_survived(place: Outlying) -> None:
    await _train(place)
    place.proxy.choose = lambda asked: refuse(503, "ServiceUnavailable")
    asked_before = len(place.proxy.asked)
    await _spend_an_outage(place)
    asked = [f"{each.method} {each.path}" for each in place.proxy.asked[asked_before:]]
    listings = [asked.count(f"GET {_collection(place, kind)}") for kind in Kind]
    # Often enough to be there soon after it ends, and no more often than back-off allows.
    assert min(listings) >= 3, listings
    assert len(asked) < FIVE_MINUTES, asked
    place.proxy.choose = lambda asked: None
    await _comes_right(place)


async def test_five_minutes_of_refused_connections_are_survived(place: Outlying) -> None:
    await _train(place)
    await place.proxy.stop()
    await _spend_an_outage(place)
    await place.proxy.start()
    await _comes_right(place)


async def test_started_in_an_outage_it_waits_and_is_alive(place: Outlying) -> None:
    await place.proxy.stop()
    place.operator.start(**AS_SHIPPED, **SHORT_RESYNC)
    await place.create(Kind.VOICE, "alice", voice_spec())
    await place.until("it says that it is alive", lambda: _alive(place))
    await asyncio.sleep(FIVE_MINUTES / FACTOR)
    assert await _alive(place)
    await place.proxy.start()
    await _comes_right(place)


async def test_watches_that_fall_silent_are_replaced(place: Outlying) -> None:
    await _train(place)
    place.proxy.mute_watches()
    await place.kubelet.end(Exit())
    await place.create(Kind.CONVERSION, "hello", conversion_spec())
    await _comes_right(place)


async def test_a_watch_whose_version_is_too_old_begins_again(place: Outlying) -> None:
    left = dict.fromkeys(Kind, 3)

    def gone(asked: Asked) -> Fault | None:
        for kind in Kind:
            if asked.watch and asked.path == _collection(place, kind) and left[kind]:
                left[kind] -= 1
                return say_gone
        return None

    place.proxy.choose = gone
    await _train(place)
    await place.kubelet.end(Exit())
    await place.create(Kind.CONVERSION, "hello", conversion_spec())
    await _comes_right(place)
    assert sum(left.values()) == 0


async def test_listings_do_what_dead_watches_do_not_and_a_restart_is_asked_for(place: Outlying) -> None:
    place.proxy.choose = lambda asked: stay_mute if asked.watch else None
    await _train(place)
    await place.kubelet.end(Exit())
    await place.create(Kind.CONVERSION, "hello", conversion_spec())
    await _comes_right(place)

    async def dead() -> bool:
        # What the watches do not tell of are the operator's own writes, too.
        return not await _alive(place)

    await place.until("it asks to be restarted", dead)
    assert "no longer tells" in place.operator.log()


async def _train(place: Outlying) -> None:
    """A voice in training, as the operator knows."""
    place.kubelet.script.append(Work())
    place.operator.start(**AS_SHIPPED, **SHORT_RESYNC)
    await place.create(Kind.VOICE, "alice", voice_spec())
    await place.until_ready(Kind.VOICE, "alice", "Unknown", "Training")


async def _spend_an_outage(place: Outlying) -> None:
    """The world goes on for five minutes, unseen by the operator, which lives and says so."""
    await place.kubelet.end(Exit())
    await place.create(Kind.CONVERSION, "hello", conversion_spec())
    await asyncio.sleep(FIVE_MINUTES / FACTOR)
    assert place.operator.running
    assert await _alive(place)


async def _comes_right(place: Outlying) -> None:
    await place.until_ready(Kind.VOICE, "alice", "True", "Available")
    if "hello" in await place.names(Kind.CONVERSION):
        await place.until_ready(Kind.CONVERSION, "hello", "True", "Converted")
    assert place.operator.running


async def _alive(place: Outlying) -> bool:
    try:
        async with aiohttp.ClientSession() as session, session.get(place.operator.liveness) as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


def _collection(place: Outlying, kind: Kind) -> str:
    return f"{kind.prefix}/namespaces/{place.namespace}/{kind.plural}"
