from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rvc.pitch.windows import Windows, centred


@st.composite
def windows(draw) -> Windows:
    grid = draw(st.sampled_from([1, 4, 32]))
    context = draw(st.integers(0, 5)) * grid
    return Windows(2 * context + draw(st.integers(1, 10)) * grid, context, grid)


@given(windows(), st.integers(1, 3000))
def test_windows_cover_a_recording(cut, frames):
    spans = cut.spans(frames)
    assert spans[0][0] == 0
    assert spans[-1][1] == frames
    for first, last in spans:
        assert first % cut.grid == 0
        assert min(cut.length, frames) - cut.grid < last - first <= cut.length
    for (_, last), (first, _) in pairwise(spans):
        assert last - first >= 2 * cut.context - cut.grid + 1


@given(windows(), st.integers(0, 3000))
def test_every_frame_comes_from_a_window_that_sees_its_context(cut, frames):
    def seen_around(first: int, last: int) -> np.ndarray:
        at = np.arange(first, last)
        before = at - first if first else np.full(len(at), cut.context)
        after = last - 1 - at if last < frames else np.full(len(at), cut.context)
        return np.minimum(before, after)

    found = cut(frames, seen_around)
    assert found.shape == (frames,)
    assert (found >= cut.context - cut.grid).all()


@pytest.mark.parametrize("padding", ["reflect", "constant"])
def test_samples_of_a_part_are_those_of_the_whole(padding):
    audio = np.arange(1, 16001, dtype=np.float32)
    whole = centred(audio, 0, 101, 1024, padding)
    assert len(whole) == 100 * 160 + 1024
    assert whole[512] == 1
    np.testing.assert_array_equal(centred(audio, 20, 40, 1024, padding), whole[3200 : 39 * 160 + 1024])
    np.testing.assert_array_equal(centred(audio, 90, 101, 1024, padding), whole[90 * 160 :])
    assert whole[511] == (2 if padding == "reflect" else 0)
