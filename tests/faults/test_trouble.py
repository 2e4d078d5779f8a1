"""Conflicts, and watches that tell everything again and again: no write is in vain."""

from itertools import cycle

import pytest

from rvc_operator.runtime.cache import Kind
from tests.operator.manifests import conversion_spec, voice_spec

from .places import Place, Places
from .proxy import Asked, Fault, refuse, repeat_events
from .scenarios import train_and_serve

pytestmark = pytest.mark.cluster


async def test_conflicts_are_planned_anew(many: Places) -> None:
    async with many.open() as place:
        met = cycle((True, False))

        def choose(asked: Asked) -> Fault | None:
            contended = asked.method == "PATCH" and asked.path.endswith("/status")
            return refuse(409, "Conflict") if contended and next(met) else None

        place.proxy.choose = choose
        place.operator.start()
        await train_and_serve(place)


async def test_news_that_are_told_again_cause_no_write(many: Places) -> None:
    async with many.open() as place:
        place.proxy.choose = lambda asked: repeat_events(20) if asked.watch else None
        place.operator.start()
        await train_and_serve(place)
        await place.until("all has been written", lambda: _quiet(place))
        written = len(place.proxy.writes)
        # New connections, which tell everything twenty times; then a marker, which is answered after that.
        place.proxy.cut()
        await place.create(Kind.VOICE, "marker", voice_spec(suspend=True))
        await place.until_ready(Kind.VOICE, "marker", "False", "Suspended")
        assert [str(asked) for asked in place.proxy.writes[written:] if "marker" not in asked.path] in (
            [],
            [f"POST /apis/events.k8s.io/v1/namespaces/{place.namespace}/events"],
        )


async def _quiet(place: Place) -> bool:
    """Whether a marker is answered without anything else being written."""
    written = len(place.proxy.writes)
    name = f"quiet-{written}"
    await place.create(Kind.CONVERSION, name, conversion_spec("nobody"))
    await place.until_ready(Kind.CONVERSION, name, "Unknown", "WaitingForVoice")
    return all(name in asked.path or "events" in asked.path for asked in place.proxy.writes[written:])
