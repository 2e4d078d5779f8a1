"""What kopf would remember of every object, and does not."""

from typing import Any, Never

import kopf
import pytest

from rvc_operator.runtime.no_memory import NoMemory


class Spec(dict[str, Any]):
    """Large, so that it must not be copied."""

    def __deepcopy__(self, _: object) -> Never:
        raise AssertionError("the object is copied")


def test_an_object_is_neither_copied_nor_written_into() -> None:
    body = kopf.Body({"metadata": {"name": "alice"}, "spec": Spec(epochs=200)})
    patch = kopf.Patch()
    memory = NoMemory()
    essence = memory.build(body=body)
    memory.store(body=body, patch=patch, essence=essence)
    assert (essence, dict(patch), memory.fetch(body=body)) == ({}, {}, None)
    with pytest.raises(AssertionError):
        kopf.AnnotationsDiffBaseStorage().build(body=body)
