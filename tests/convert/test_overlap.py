"""Tiles of a network with attention."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rvc.tiles import TileSettings, VoiceTiles, cross_faded
from tests.convert.attentive import HOP, Attentive, source_of

SETTINGS = TileSettings(index_rate=0.75, protect=0.33, speaker_id=0)


def spoken(synthesizer: Attentive, content: np.ndarray, padding_frames: int = 0) -> np.ndarray:
    tiles = VoiceTiles(synthesizer, index=None, content_moments=None, level_moments=None)
    return np.concatenate(list(tiles.synthesize(source_of(content, padding_frames), SETTINGS)))


def rising(rows: int) -> np.ndarray:
    return np.linspace(0.0, 1.0, rows)


def test_tiles_that_disagree_are_faded_and_not_joined_hard() -> None:
    rows = 300
    ramp, hard = spoken(Attentive(), rising(rows)), spoken(Attentive(overlap_frames=0), rising(rows))
    steps, hard_steps = np.abs(np.diff(ramp)), np.abs(np.diff(hard))
    assert hard_steps[100 * HOP - 1] > 0.1, "the mean that the second tile hears is another one"
    assert steps.max() < 1.1 / rows, "no larger than from row to row"


def test_frames_outside_the_overlap_are_the_tiles_own() -> None:
    content = rising(300)
    sound, tiles = spoken(Attentive(), content), content.repeat(2)
    window_mean = tiles[70:250].mean()
    own = slice(120 * HOP, 200 * HOP)
    np.testing.assert_allclose(sound[own], (tiles[120:200] + window_mean).repeat(HOP), rtol=1e-5)


@settings(deadline=None, max_examples=25)
@given(
    rows=st.integers(1, 400),
    tile=st.integers(25, 200),
    overlap=st.integers(0, 25),
    context=st.integers(0, 60),
    padding=st.sampled_from([0, 50]),
)
def test_any_cut_of_a_network_without_attention_gives_the_same(
    rows: int, tile: int, overlap: int, context: int, padding: int
) -> None:
    content = np.random.default_rng(rows).random(rows + padding)
    cut = Attentive(tile, overlap, context, attention=0.0, noise=0.1)
    whole = Attentive(10**6, 0, 0, attention=0.0, noise=0.1)
    one, other = (spoken(synthesizer, content, padding) for synthesizer in (cut, whole))
    assert len(one) == 2 * rows * HOP
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_the_noise_is_the_same_on_both_sides_of_a_join() -> None:
    silent = np.zeros(300)
    sound = spoken(Attentive(noise=1.0), silent)
    assert np.array_equal(sound, spoken(Attentive(10**6, noise=1.0), silent))
    faded = sound[100 * HOP : 120 * HOP]
    assert faded.std() == pytest.approx(1, rel=0.05), "noises that differ would fade into less"


def test_a_fade_is_a_straight_line() -> None:
    old, new = np.ones(4, np.float32), np.zeros(6, np.float32)
    assert cross_faded(old, new).tolist() == [0.875, 0.625, 0.375, 0.125, 0, 0]
    assert cross_faded(old[:0], new).tolist() == new.tolist()
