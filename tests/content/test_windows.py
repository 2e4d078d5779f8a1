from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rvc.content.windows import WindowGrid

GRID = WindowGrid(hop_frames=50, context_frames=8, fade_frames=6)


def numbered(start: int, end: int) -> np.ndarray:
    """A network that knows each frame by its number, whatever the window."""
    return np.arange(start, end, dtype=np.float32)[:, None]


def of_window(start: int, end: int) -> np.ndarray:
    """A network that says only where its window begins."""
    return np.full((end - start, 1), start, np.float32)


def rows(network, frames: int, first: int, last: int) -> np.ndarray:
    return np.concatenate([np.zeros((0, 1), np.float32), *GRID.rows(network, frames, first, last)])


@given(st.integers(0, 400), st.data())
def test_any_range_is_that_part_of_the_whole(frames, data):
    first = data.draw(st.integers(0, frames))
    last = data.draw(st.integers(first, frames))
    np.testing.assert_array_equal(rows(numbered, frames, first, last), numbered(first, last))
    whole = rows(of_window, frames, 0, frames)
    np.testing.assert_array_equal(rows(of_window, frames, first, last), whole[first:last])


@given(st.integers(1, 400))
def test_windows_cover_the_recording_and_overlap(frames):
    spans = [GRID.span(index, frames) for index in range(GRID.count(frames))]
    assert spans[0][0] == 0
    assert spans[-1][1] == frames
    assert all(end - start <= 50 + 2 * 8 for start, end in spans)
    assert all(before[1] - after[0] >= 8 for before, after in pairwise(spans))


def test_neighbours_fade_into_each_other():
    seam = rows(of_window, 120, 0, 120)[:, 0]
    assert (seam[:47] == 0).all()
    assert (seam[53:97] == 42).all()
    assert (np.diff(seam[46:54]) > 0).all()


def test_each_window_is_computed_once():
    seen = []

    def watched(start: int, end: int) -> np.ndarray:
        seen.append(start)
        return numbered(start, end)

    rows(watched, 400, 0, 400)
    assert seen == sorted(set(seen))


@pytest.mark.parametrize(("first", "last"), [(-1, 3), (5, 4), (0, 101)])
def test_rows_outside_of_the_recording_are_an_error(first, last):
    with pytest.raises(ValueError, match="100 frames"):
        rows(numbered, 100, first, last)
