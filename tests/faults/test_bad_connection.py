"""A life on a bad connection: requests are refused, lost, cut off or late; watches repeat themselves."""

import asyncio
from itertools import cycle
from random import Random

import pytest

from .places import Place, Places
from .proxy import (
    Asked,
    Fault,
    cut_answer,
    drop,
    late,
    lose_answer,
    refuse,
    reorder_events,
    repeat_events,
    say_gone,
)
from .scenarios import end_state, train_and_serve

pytestmark = pytest.mark.cluster

REQUEST_FAULTS: tuple[Fault, ...] = (
    refuse(503, "ServiceUnavailable"),
    refuse(429, "TooManyRequests", {"Retry-After": "1"}),
    refuse(500, "InternalError"),
    drop,
    lose_answer,
    cut_answer,
    late(0.3),
)
WATCH_FAULTS: tuple[Fault, ...] = (repeat_events(3), say_gone, reorder_events(2), drop)


async def test_a_bad_connection_changes_nothing_about_the_end(many: Places) -> None:
    async with many.open() as place:
        place.operator.start()
        await train_and_serve(place)
        expected = await end_state(place)
    async with many.open() as place:
        requests, watches, chance = cycle(REQUEST_FAULTS), cycle(WATCH_FAULTS), Random(0)

        def choose(asked: Asked) -> Fault | None:
            if asked.watch:
                return next(watches)
            # Not every fifth: a look of five requests would fail at the same one each time.
            return next(requests) if chance.random() < 0.2 else None

        async def same() -> bool:
            return await end_state(place) == expected

        place.proxy.choose = choose
        place.operator.start()
        cutting = asyncio.create_task(_cut_again_and_again(place))
        await train_and_serve(place)
        await place.until("the end is the same", same)
        cutting.cancel()


async def _cut_again_and_again(place: Place) -> None:
    while True:
        await asyncio.sleep(1)
        place.proxy.cut()
