"""The work queue: once, alone, in time."""

import asyncio
from dataclasses import dataclass

import pytest

from rvc_operator.runtime.queue import BACKOFF_LIMIT_SECONDS, WorkQueue


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(clock: Clock) -> WorkQueue[str]:
    return WorkQueue(clock, lambda: 0.5)


async def nothing_due(queue: WorkQueue[str]) -> bool:
    """Whether `get` would wait: it has not returned after the loop has run everything that can run."""
    waiting = asyncio.ensure_future(queue.get())
    for _ in range(10):
        await asyncio.sleep(0)
    waiting.cancel()
    return not waiting.done()


async def test_a_key_waits_once_however_often_it_is_added(queue: WorkQueue[str]) -> None:
    for _ in range(100):
        queue.add("a")
    assert len(queue) == 1
    assert await queue.get() == "a"
    queue.done("a")
    assert await nothing_due(queue)


async def test_keys_come_in_the_order_of_their_coming(queue: WorkQueue[str]) -> None:
    for key in "abc":
        queue.add(key)
    assert [await queue.get() for _ in "abc"] == ["a", "b", "c"]


async def test_a_key_is_worked_on_by_one_worker_at_a_time_and_once_more_afterwards(
    queue: WorkQueue[str],
) -> None:
    queue.add("a")
    await queue.get()
    queue.add("a")
    assert await nothing_due(queue)
    queue.done("a")
    assert await queue.get() == "a"


async def test_a_delayed_key_comes_when_it_is_due(queue: WorkQueue[str], clock: Clock) -> None:
    queue.add("a", 10)
    assert await nothing_due(queue)
    clock.now = 10
    assert await queue.get() == "a"


async def test_the_earlier_of_two_times_holds(queue: WorkQueue[str], clock: Clock) -> None:
    queue.add("a", 10)
    queue.add("a", 5)
    queue.add("a", 20)
    clock.now = 5
    assert await queue.get() == "a"
    queue.done("a")
    clock.now = 100
    assert await nothing_due(queue)


async def test_a_waiting_worker_hears_of_a_new_key(queue: WorkQueue[str]) -> None:
    waiting = asyncio.ensure_future(queue.get())
    await asyncio.sleep(0)
    queue.add("a")
    assert await waiting == "a"


async def test_two_waiting_workers_get_two_keys(queue: WorkQueue[str]) -> None:
    workers = [asyncio.ensure_future(queue.get()) for _ in range(2)]
    await asyncio.sleep(0)
    queue.add("a")
    queue.add("b")
    assert {await worker for worker in workers} == {"a", "b"}


async def test_failures_come_back_later_and_later_until_one_success(
    queue: WorkQueue[str], clock: Clock
) -> None:
    delays = []
    for _ in range(12):
        queue.add("a")
        clock.now += 1000
        await queue.get()
        delays.append(queue.failed("a"))
    assert delays[:4] == [0.5, 1.0, 2.0, 4.0]
    assert delays == sorted(delays)
    assert delays[-1] == BACKOFF_LIMIT_SECONDS
    clock.now += 1000
    await queue.get()
    queue.done("a")
    queue.add("a")
    await queue.get()
    assert queue.failed("a") == 0.5


async def test_events_do_not_cut_the_back_off_of_a_key_that_was_being_worked_on(
    queue: WorkQueue[str],
) -> None:
    queue.add("a")
    await queue.get()
    queue.add("a")
    queue.failed("a")
    assert await nothing_due(queue)


async def test_a_listing_after_an_outage_brings_up_a_key_that_has_backed_off(
    queue: WorkQueue[str], clock: Clock
) -> None:
    for _ in range(9):
        queue.add("a")
        await queue.get()
        assert queue.failed("a") <= BACKOFF_LIMIT_SECONDS
    assert await nothing_due(queue)
    queue.add("a")
    assert await queue.get() == "a"


async def test_done_may_ask_for_another_look(queue: WorkQueue[str], clock: Clock) -> None:
    queue.add("a")
    await queue.get()
    queue.done("a", 3)
    assert await nothing_due(queue)
    clock.now = 3
    assert await queue.get() == "a"
