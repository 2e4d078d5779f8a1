"""kopf's memory of objects, left empty.

For handlers of creations and updates, kopf compares every object that a watch tells of with what it wrote of
it into an annotation. We have no such handlers, and the copies of whole objects that the comparison begins
with took more time than all of our own work.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import kopf


class NoMemory(kopf.DiffBaseStorage):
    """Every object is the same, and was never seen before."""

    def build(self, *, body: kopf.Body, extra_fields: Iterable[Any] | None = None) -> kopf.BodyEssence:
        """Nothing of an object is compared."""
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        """Nothing is remembered."""
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Nothing is written into the object."""
