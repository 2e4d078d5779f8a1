"""Trying again while the store is the trouble."""

import pytest

from rvc.errors import ObjectNotFound, StoreUnavailable, Terminated
from rvc_inference.files import STORE_TRIES, with_store_retries


class Flaky:
    """Fails so many times, then answers."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.failures:
            raise StoreUnavailable("no answer")
        return "answer"


def test_pauses_double():
    pauses: list[float] = []
    operation = Flaky(STORE_TRIES - 1)
    assert with_store_retries(operation, lambda pause: bool(pauses.append(pause))) == "answer"
    assert pauses == [0.5, 1, 2, 4]


def test_tries_are_bounded():
    operation = Flaky(100)
    with pytest.raises(StoreUnavailable):
        with_store_retries(operation, lambda _: False)
    assert operation.calls == STORE_TRIES


def test_nobody_waits_for_a_store_when_the_end_was_asked_for():
    operation = Flaky(100)
    with pytest.raises(Terminated):
        with_store_retries(operation, lambda _: True)
    assert operation.calls == 1


def test_other_errors_are_not_tried_again():
    def missing() -> None:
        raise ObjectNotFound("gone")

    with pytest.raises(ObjectNotFound):
        with_store_retries(missing, lambda _: pytest.fail("waited"))
