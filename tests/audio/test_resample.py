from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rvc.audio import output_frames
from rvc.audio.resample import resample_blocks

RATES = st.sampled_from([8000, 11025, 16000, 22050, 32000, 40000, 44100, 48000, 96000, 384000])


@given(st.integers(0, 10**10), RATES, RATES)
def test_length_is_rounded_half_up(frames, source, target):
    exact = Fraction(frames * target, source)
    assert abs(output_frames(frames, source, target) - exact) <= Fraction(1, 2)
    assert output_frames(frames, source, target) >= exact - Fraction(1, 2) + Fraction(1, 2 * source)


@given(st.lists(st.integers(0, 3000), max_size=6), RATES, RATES)
def test_blocks_become_the_exact_length_however_they_are_cut(sizes, source, target):
    audio = np.random.default_rng(0).normal(size=sum(sizes)).astype(np.float32)
    blocks = np.split(audio, np.cumsum(sizes)[:-1]) if sizes else []
    cut = np.concatenate(list(resample_blocks(blocks, source, target)) or [audio])
    whole = np.concatenate(list(resample_blocks([audio], source, target)))
    assert len(cut) == output_frames(len(audio), source, target)
    np.testing.assert_allclose(cut, whole, atol=1e-6)


def test_a_tone_stays_where_it_is():
    def tone(rate: int) -> np.ndarray:
        return np.sin(2 * np.pi * 440 * np.arange(rate) / rate).astype(np.float32)

    resampled = np.concatenate(list(resample_blocks(np.array_split(tone(44100), 7), 44100, 16000)))
    np.testing.assert_allclose(resampled[500:-500], tone(16000)[500:-500], atol=1e-3)
