import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rvc.pitch.quantise import pitch_bins


def test_bins_of_known_f0():
    f0 = [0.0, 30.0, 50.0, 100.0, 220.0, 440.0, 1000.0, 1100.0, 1200.0, 8000.0]
    assert pitch_bins(f0).tolist() == [1, 1, 1, 20, 60, 122, 238, 255, 255, 255]
    assert pitch_bins(np.zeros((2, 3), np.float32)).shape == (2, 3)
    assert pitch_bins(220.0).dtype == np.int64


@given(st.floats(0, 5000), st.floats(0, 5000))
def test_bins_rise_with_f0(one, other):
    low, high = pitch_bins(sorted([one, other]))
    assert 1 <= low <= high <= 255
