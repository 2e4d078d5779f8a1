"""What is logged while an object is worked on names it."""

import asyncio
import logging

from rvc_operator.runtime.cache import Key, Kind
from rvc_operator.runtime.logs import NamesObjects, working_on

ALICE = Key(Kind.VOICE, "test", "alice")


def logged() -> object:
    record = logging.LogRecord("any", logging.INFO, __file__, 1, "said", (), None)
    assert NamesObjects().filter(record)
    return getattr(record, "object", None)


async def test_a_line_names_the_object_that_is_worked_on() -> None:
    async def task() -> object:
        return logged()

    with working_on(ALICE):
        named = {"kind": "VoiceModel", "namespace": "test", "name": "alice"}
        assert logged() == named
        assert await asyncio.gather(task()) == [named]
    assert logged() is None


async def test_workers_side_by_side_name_their_own() -> None:
    async def worker(name: str) -> object:
        with working_on(ALICE._replace(name=name)):
            await asyncio.sleep(0)
            return logged()

    said = await asyncio.gather(worker("alice"), worker("bob"))
    assert [one["name"] for one in said] == ["alice", "bob"]  # type: ignore[index]
