import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rvc.pitch.transpose import automatic_transpose


def test_a_man_to_a_woman_is_an_octave():
    source = np.array([0, 0, 100, 108, 112, 110, 115, 0, 0, 0], np.float32)
    assert automatic_transpose(source, 221.0) == 12
    assert automatic_transpose(2 * source, 110.0) == -12


@pytest.mark.parametrize(
    ("source", "voice"), [([], 200.0), ([0.0, 0.0], 200.0), ([120.0], None), ([120.0], 0)]
)
def test_nothing_to_go_by_is_no_transposition(source, voice):
    assert automatic_transpose(source, voice) == 0


def test_three_octaves_are_the_furthest():
    assert automatic_transpose([50.0], 1100.0) == 36
    assert automatic_transpose([1100.0], 50.0) == -36


@given(st.floats(60, 400), st.floats(60, 400))
def test_afterwards_the_medians_are_within_half_a_semitone(source, voice):
    moved = source * 2 ** (automatic_transpose([source], voice) / 12)
    assert abs(12 * np.log2(voice / moved)) <= 0.5 + 1e-9
