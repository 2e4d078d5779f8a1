import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rvc.noise import white_noise

WHOLE = white_noise(3, 0, 5000)


@given(first=st.integers(0, 4000), samples=st.integers(0, 999))
def test_any_stretch_is_that_of_the_whole(first: int, samples: int) -> None:
    assert np.array_equal(white_noise(3, first, samples), WHOLE[first : first + samples])


def test_it_is_white_with_mean_0_and_variance_1() -> None:
    noise = white_noise(1, 10**9, 200_000)
    assert noise.mean() == pytest.approx(0, abs=0.01)
    assert noise.var() == pytest.approx(1, abs=0.01)
    spectrum = np.abs(np.fft.rfft(noise.reshape(100, 2000))) ** 2 / 2000
    assert spectrum.mean(0)[1:-1] == pytest.approx(1, abs=0.6)


def test_seeds_give_other_noise() -> None:
    assert not np.array_equal(white_noise(4, 0, 100), WHOLE[:100])
