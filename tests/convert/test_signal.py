import numpy as np
import pytest
import scipy.signal

from rvc.signal import (
    Moments,
    MomentsOfRows,
    frame_levels,
    gate_f0,
    interpolate_unvoiced,
    limit_peak,
    median_filter_f0,
    mirrored,
    phase_at_frames,
    remove_rumble,
)


def f32(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_levels_do_not_depend_on_the_range_asked_for() -> None:
    audio = np.random.default_rng(0).standard_normal(16000).astype(np.float32) * np.linspace(0, 1, 16000)
    whole = frame_levels(audio, 0, 100)
    assert frame_levels(audio, 37, 20) == pytest.approx(whole[37:57], abs=1e-4)
    assert whole[50] == pytest.approx(20 * np.log10(0.5), abs=1.5)
    assert frame_levels(np.zeros(16000, np.float32), 0, 100) == pytest.approx(-80, abs=0.01)


def test_unvoiced_stretches_are_lines_of_ln_f0() -> None:
    filled = interpolate_unvoiced(f32(0, 100, 0, 400, 0, 0))
    assert filled == pytest.approx([100, 100, 200, 400, 400, 400])
    assert (interpolate_unvoiced(f32(0, 0)) > 0).all()


def test_phase_turns_with_f0() -> None:
    assert phase_at_frames(f32(100, 100, 100)) == pytest.approx([0, 0, 0], abs=1e-9)
    assert phase_at_frames(f32(110, 130, 130)) == pytest.approx([0, 0.2, 0.5])


def test_the_median_removes_single_jumps_and_2_or_less_does_nothing() -> None:
    track = f32(100, 101, 202, 102, 103)
    assert median_filter_f0(track, 3) == pytest.approx([100, 101, 102, 103, 103])
    assert median_filter_f0(track, 2) is track


def test_f0_in_what_is_quiet_is_no_voice() -> None:
    levels = np.full(100, -15, np.float32)
    levels[50] = -60
    gated = gate_f0(np.full(100, 200, np.float32), levels)
    assert gated[50] == 0
    assert (np.delete(gated, 50) == 200).all()


def test_rumble_goes_and_speech_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    time = np.arange(64000) / 16000
    speech = np.sin(2 * np.pi * 300 * time)
    audio = (speech + 0.5 * np.sin(2 * np.pi * 15 * time) + 0.3).astype(np.float32)
    remove_rumble(audio, 16000)
    assert audio[8000:-8000] == pytest.approx(speech[8000:-8000], abs=2e-3)

    whole, blocks = (np.random.default_rng(0).standard_normal(30000).astype(np.float32) for _ in range(2))
    remove_rumble(whole, 16000)
    monkeypatch.setattr("rvc.signal._FILTER_BLOCK_SAMPLES", 777)
    remove_rumble(blocks, 16000)
    assert blocks == pytest.approx(whole, abs=1e-6)


@pytest.mark.parametrize("samples", [1, 2, 17, 18, 19, 500, 30000])
def test_the_ends_are_continued_as_by_filtfilt(samples: int) -> None:
    audio = np.random.default_rng(1).standard_normal(samples)
    filtered = audio.copy()
    remove_rumble(filtered, 16000)
    expected = scipy.signal.sosfiltfilt(
        scipy.signal.butter(5, 48, "highpass", fs=16000, output="sos"), audio, padlen=min(18, samples - 1)
    )
    np.testing.assert_allclose(filtered, expected, atol=1e-9)


def test_what_is_over_full_scale_is_turned_down_and_the_rest_left() -> None:
    for peak, left in ((0.5, 0.5), (0.95, 0.95), (4.0, 0.95)):
        audio = f32(0.1 * peak, -peak, 0.3 * peak)
        limit_peak(audio)
        assert audio == pytest.approx(f32(0.1 * left, -left, 0.3 * left))


@pytest.mark.parametrize(("samples", "margin"), [(50, 20), (7, 30), (2, 5), (1, 4)])
def test_positions_beyond_the_ends_are_numpys_reflection(samples: int, margin: int) -> None:
    audio = np.arange(samples)
    indices = mirrored(np.arange(-margin, samples + margin), samples)
    assert np.array_equal(audio[indices], np.pad(audio, margin, mode="reflect"))


def test_moments_of_blocks_are_those_of_the_whole() -> None:
    rows = np.random.default_rng(0).normal(3, 2, (1000, 4))
    moments = MomentsOfRows(4)
    for block in np.split(rows, [10, 500]):
        moments.add(block)
    result = moments.result()
    assert result.count == 1000
    assert result.mean == pytest.approx(rows.mean(0), rel=1e-5)
    assert result.deviation == pytest.approx(rows.std(0), rel=1e-5)
    assert result.standardize(rows.astype(np.float32)).std(0) == pytest.approx(1, rel=1e-4)


def test_shrinking_is_as_if_more_rows_had_been_seen() -> None:
    random = np.random.default_rng(0)
    few, prior = random.normal(0, 1, (40, 2)), random.normal(2, 3, (100, 2))
    of_few, of_prior, of_both = MomentsOfRows(2), MomentsOfRows(2), MomentsOfRows(2)
    of_few.add(few)
    of_prior.add(prior)
    of_both.add(np.concatenate([few, prior]))
    shrunk = of_few.result().shrunk(of_prior.result(), 100)
    assert shrunk.mean == pytest.approx(of_both.result().mean, rel=1e-4)
    assert shrunk.deviation == pytest.approx(of_both.result().deviation, rel=1e-4)


def test_nothing_seen_is_all_prior() -> None:
    prior = Moments(10, f32(1), f32(2))
    shrunk = MomentsOfRows(1).result().shrunk(prior, 100)
    assert (shrunk.mean[0], shrunk.deviation[0]) == (1, 2)
