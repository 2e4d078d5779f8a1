from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rvc.dataset.slicing import SlicingSettings, slice_on_silence
from tests.fixtures.parity import parity_arrays

RATE = 8000
HOP = 120


@pytest.mark.parametrize("rate", [32000, 40000])
def test_cuts_are_those_of_the_original(rate):
    fixture = parity_arrays("slicer.npz")
    audio = fixture[f"wave_i16_{rate}"].astype(np.float32) / 32768
    assert slice_on_silence(audio, rate) == [tuple(bounds) for bounds in fixture[f"bounds_{rate}"].tolist()]


def test_cuts_with_other_settings_are_those_of_the_original():
    fixture = parity_arrays("slicer.npz")
    audio = fixture["wave_i16_32000"].astype(np.float32) / 32768
    bounds = slice_on_silence(audio, 32000, SlicingSettings(-40.0, 5000, 300, 20, 5000))
    assert [end - start for start, end in bounds] == fixture["lens_32000_default"].tolist()


def sound_and_silence(pieces: list[tuple[bool, int]]) -> np.ndarray:
    """Noise where the flag is set, digital silence where not; lengths in milliseconds."""
    noise = np.random.default_rng(1)
    parts = [
        (noise.uniform(-0.5, 0.5, n) if loud else np.zeros(n)).astype(np.float32)
        for loud, n in ((loud, milliseconds * RATE // 1000) for loud, milliseconds in pieces)
    ]
    return np.concatenate([np.zeros(0, np.float32), *parts])


PIECES = st.lists(st.tuples(st.booleans(), st.integers(0, 4000)), max_size=10)


@settings(deadline=None)
@given(PIECES)
def test_clips_are_in_order_and_only_silence_is_lost(pieces):
    audio = sound_and_silence(pieces)
    bounds = slice_on_silence(audio, RATE)
    edges = [edge for clip in bounds for edge in clip]
    assert edges == sorted(edges)
    assert all(start < end for start, end in bounds)
    assert not edges or (edges[0] >= 0 and edges[-1] <= len(audio))
    lost = audio.copy()
    for start, end in bounds:
        lost[start:end] = 0
    assert not lost.any()


@settings(deadline=None)
@given(PIECES)
def test_at_most_half_a_second_of_silence_stays_at_the_edges_of_a_cut(pieces):
    audio = sound_and_silence(pieces)
    bounds = slice_on_silence(audio, RATE)
    for (_, end), (start, _) in pairwise(bounds):
        if end < start:
            last_sound = np.flatnonzero(audio[:end])[-1]
            next_sound = start + np.flatnonzero(audio[start:])[0]
            assert end - last_sound <= RATE // 2 + 4 * HOP
            assert next_sound - start <= RATE // 2 + 4 * HOP


def test_a_recording_without_silence_is_one_clip():
    audio = sound_and_silence([(True, 5000)])
    assert slice_on_silence(audio, RATE) == [(0, len(audio))]


def test_silence_gives_no_clip_and_nothing_gives_nothing():
    assert slice_on_silence(np.zeros(RATE * 3, np.float32), RATE) == []
    assert slice_on_silence(np.zeros(0, np.float32), RATE) == []


def test_a_pause_is_cut_only_after_a_long_enough_clip():
    early = sound_and_silence([(True, 800), (False, 600), (True, 800)])
    late = sound_and_silence([(True, 2000), (False, 600), (True, 800)])
    assert len(slice_on_silence(early, RATE)) == 1
    assert len(slice_on_silence(late, RATE)) == 2


def test_of_a_long_pause_only_the_edges_stay():
    audio = sound_and_silence([(True, 2000), (False, 5000), (True, 2000)])
    (_, first_end), (second_start, _) = slice_on_silence(audio, RATE)
    assert 2.0 <= first_end / RATE <= 2.5 + 0.06
    assert 6.5 - 0.06 <= second_start / RATE <= 7.0
