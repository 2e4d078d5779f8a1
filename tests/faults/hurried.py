"""`python -m tests.faults.hurried FACTOR`: the operator's process, for which time runs FACTOR times as fast.

The event loop's clock is hurried, by which kopf, aiohttp and the operator measure all time-outs, back-offs
and intervals, at their real settings; sockets, API server and pods are real and take the time that they take.
The time of day, by which deadlines in the API are measured, is not touched.
"""

import asyncio
import selectors
import sys

from rvc_operator.__main__ import main


class HurriedSelector(selectors.DefaultSelector):  # type: ignore[misc,valid-type]
    """Waits for a fraction of what it is told to."""

    factor = 1.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(
            None if timeout is None else timeout / self.factor
        )
        return ready


class HurriedLoop(asyncio.SelectorEventLoop):
    """Its seconds are short."""

    def __init__(self, factor: float) -> None:
        self._factor = factor
        selector = HurriedSelector()
        selector.factor = factor
        super().__init__(selector)

    def time(self) -> float:
        return super().time() * self._factor


class HurriedPolicy(asyncio.DefaultEventLoopPolicy):
    """Every new loop is a hurried one."""

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        return HurriedLoop(float(sys.argv[1]))


if __name__ == "__main__":
    asyncio.set_event_loop_policy(HurriedPolicy())
    sys.exit(main())
