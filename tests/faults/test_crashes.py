"""Killed before and after the writes it makes, the operator ends where it would have ended.

Each kill is a life of its own, of some seconds; so the suite kills at every fourth write, in both ways, and
`CRASH_EVERY=1` at each (about ten minutes on two cores).
"""

import asyncio
import os

import pytest
from aiohttp import web

from .places import Place, Places
from .proxy import Asked, Dropped, Exchange, Fault
from .scenarios import ALL, Body, Scenario, end_state

pytestmark = pytest.mark.cluster

AT_A_TIME = 10
"""Lives lived side by side: they wait for controllers most of the time."""


@pytest.mark.parametrize("name", ALL)
async def test_killed_at_any_write_it_ends_in_the_same_place(many: Places, name: str) -> None:
    scenario = ALL[name]
    async with many.open() as place:
        place.operator.start()
        await scenario(place)
        expected, writes = await end_state(place), place.proxy.writes
    turns = asyncio.Semaphore(AT_A_TIME)

    async def crashed(number: int, after: bool) -> str | None:
        async with turns, many.open() as place:
            return await _crashed_life(place, scenario, expected, number, after)

    numbers = range(1, len(writes) + 1, int(os.environ.get("CRASH_EVERY", "4")))
    lives = (crashed(number, after) for number in numbers for after in (False, True))
    problems = [each for each in await asyncio.gather(*lives) if each is not None]
    assert not problems, "\n\n".join(problems)


async def _crashed_life(
    place: Place, scenario: Scenario, expected: Body, number: int, after: bool
) -> str | None:
    """Live the scenario with one kill; what came out wrong, None if nothing did."""
    killed = asyncio.Event()
    where = "no such write"

    async def kill(exchange: Exchange) -> web.StreamResponse:
        nonlocal where
        where = f"killed {'after' if after else 'before'} write {number}, {exchange.asked}"
        if after:
            await exchange.forward()
        place.operator.kill()
        killed.set()
        raise Dropped

    def choose(asked: Asked) -> Fault | None:
        return kill if asked.write == number else None

    async def reincarnate() -> None:
        await killed.wait()
        await place.operator.stop()
        place.operator.start()

    async def same() -> bool:
        return await end_state(place) == expected

    place.proxy.choose = choose
    place.operator.start()
    rebirth = asyncio.create_task(reincarnate())
    try:
        await scenario(place)
        await place.until("the end is the same", same)
    except AssertionError as error:
        found = await end_state(place)
        differs = {
            key: (expected.get(key), found.get(key))
            for key in expected | found
            if expected.get(key) != found.get(key)
        }
        return f"{where}: {str(error)[:300]}\ndifferent, as expected and found: {differs}"
    finally:
        rebirth.cancel()
    return None
