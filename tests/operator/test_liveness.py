"""When the operator must be taken for dead, and when it only looks so."""

from itertools import islice

import pytest

from rvc_operator.main import Backoffs
from rvc_operator.runtime.liveness import DOUBTFUL_LISTINGS, Liveness, Watch
from rvc_operator.runtime.operator import FIRST_LISTING_RETRY_SECONDS, NEXT_LISTING_SECONDS

JOBS, PODS = Watch("jobs", ""), Watch("pods", "")
PATIENCE = 900.0


@pytest.fixture
def liveness() -> Liveness:
    return Liveness(PATIENCE, 0.0)


def listed(liveness: Liveness, *versions: int) -> str:
    """One good listing of Jobs after the other, by their newest version; what is said in the end."""
    for version in versions:
        liveness.listed([(JOBS, version)], 0.0)
    return liveness.problem(0.0)


def test_a_watch_that_tells_what_listings_show_is_alive(liveness: Liveness) -> None:
    for version in range(1, 10):
        liveness.heard(JOBS, version)
        assert listed(liveness, version) == ""
        assert not liveness.doubtful


def test_a_watch_that_no_longer_tells_what_listings_show_is_dead(liveness: Liveness) -> None:
    liveness.heard(JOBS, 5)
    assert listed(liveness, *[6] * (DOUBTFUL_LISTINGS - 1)) == ""
    assert liveness.doubtful
    assert "jobs" in listed(liveness, 6)


def test_watches_are_judged_apart(liveness: Liveness) -> None:
    for version in range(DOUBTFUL_LISTINGS):
        liveness.heard(PODS, 10 + version)
        liveness.listed([(JOBS, 6), (PODS, 10 + version)], 0.0)
    assert "jobs" in liveness.problem(0.0)


def test_a_watch_that_is_always_a_little_behind_is_alive(liveness: Liveness) -> None:
    for version in range(1, 20):
        assert listed(liveness, version) == ""
        liveness.heard(JOBS, version)


def test_nobody_need_tell_of_what_is_gone(liveness: Liveness) -> None:
    liveness.heard(JOBS, 3)
    assert listed(liveness, 6, *[3] * DOUBTFUL_LISTINGS) == ""


def test_an_outage_proves_nothing_against_a_watch(liveness: Liveness) -> None:
    listed(liveness, *[6] * (DOUBTFUL_LISTINGS - 1))
    liveness.failed(unreachable=True, now=0.0)
    assert listed(liveness, *[6] * (DOUBTFUL_LISTINGS - 1)) == ""


def test_an_outage_may_last(liveness: Liveness) -> None:
    for now in range(0, 100_000, 60):
        liveness.failed(unreachable=True, now=now)
        assert liveness.problem(now) == ""


def test_a_server_that_answers_and_refuses_is_no_outage(liveness: Liveness) -> None:
    for now in range(0, int(PATIENCE) + 1, 60):
        liveness.failed(unreachable=False, now=now)
        assert liveness.problem(now) == ""
    assert liveness.problem(PATIENCE + 1) != ""


def test_listings_that_do_not_end_are_a_death(liveness: Liveness) -> None:
    liveness.listed([], 100.0)
    assert liveness.problem(100.0 + PATIENCE) == ""
    assert liveness.problem(101.0 + PATIENCE) != ""


def test_the_age_of_the_newest_listing_is_known(liveness: Liveness) -> None:
    assert liveness.seconds_since_listing(5.0) is None
    liveness.listed([], 10.0)
    liveness.failed(unreachable=True, now=12.0)
    assert liveness.seconds_since_listing(15.0) == 5.0


def test_an_outage_is_over_for_the_operator_within_half_a_minute() -> None:
    """What docs/operations.md promises: neither watches nor listings pause for longer."""
    pauses = list(islice(Backoffs(), 1000))
    assert max(pauses) <= 30
    assert min(pauses) > 0
    assert FIRST_LISTING_RETRY_SECONDS <= NEXT_LISTING_SECONDS <= 30
