"""Every line that is logged while an object is worked on names the object, whoever logs it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from .cache import Key

_current: ContextVar[Key | None] = ContextVar("current", default=None)


@contextmanager
def working_on(key: Key) -> Iterator[None]:
    """Lines logged inside are about this object, also those of tasks that are begun inside."""
    token = _current.set(key)
    try:
        yield
    finally:
        _current.reset(token)


class NamesObjects(logging.Filter):
    """Gives each record the object that it is about, as the field `object` of JSON lines."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let everything through."""
        key = _current.get()
        if key is not None:
            record.object = {"kind": key.kind.kind, "namespace": key.namespace, "name": key.name}
        return True
