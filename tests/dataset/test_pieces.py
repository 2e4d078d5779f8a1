from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rvc.dataset.pieces import even_loudness, piece_bounds, remove_rumble_causally


@given(st.floats(0.01, 60.0), st.sampled_from([50, 16000, 32000, 40000, 48000]))
def test_nothing_is_lost_and_neighbours_share_their_edges(seconds: float, per_second: int) -> None:
    length = round(seconds * per_second) + 1
    bounds = piece_bounds(length, per_second)
    assert (bounds[0][0], bounds[-1][1]) == (0, length)
    assert all(end - start <= 4.0 * per_second for start, end in bounds)
    assert all(end - start > 0.59 * per_second for start, end in bounds[1:])
    for (_, end), (start, _) in pairwise(bounds):
        assert end - start == pytest.approx(0.3 * per_second, abs=1)


@pytest.mark.parametrize("peak", [0.01, 0.9, 1.7])
def test_loudness_comes_most_of_the_way_to_a_peak(peak: float) -> None:
    piece = np.array([0.0, -peak, peak / 2], np.float32)
    assert np.abs(even_loudness(piece)).max() == pytest.approx(0.675 + 0.25 * peak, rel=1e-6)
    assert even_loudness(piece)[2] == pytest.approx(-even_loudness(piece)[1] / 2)


def test_silence_stays_silence() -> None:
    assert not even_loudness(np.zeros(10, np.float32)).any()


def test_rumble_goes_and_speech_stays_without_a_look_ahead() -> None:
    time = np.arange(32000) / 16000
    for hertz, left in ((20, 0.02), (200, 1.0)):
        tone = np.sin(2 * np.pi * hertz * time).astype(np.float32)
        tone[:16000] = 0
        filtered = remove_rumble_causally(tone, 16000)
        assert not filtered[:16000].any()
        assert np.abs(filtered[24000:]).max() == pytest.approx(left, abs=0.02)
