import numpy as np
import pytest
import torch

from rvc.light.excitation import pulse_train
from rvc.signal import phase_at_frames


def excitation(f0: np.ndarray, voiced: np.ndarray, rate: int) -> np.ndarray:
    phase = phase_at_frames(f0.astype(np.float32))
    as_batch = (torch.from_numpy(array.astype(np.float32))[None] for array in (f0, voiced, phase))
    return pulse_train(*as_batch, rate)[0].numpy()


@pytest.mark.parametrize("rate", [16000, 40000])
@pytest.mark.parametrize("f0", [60.0, 187.5, 700.0])
def test_all_harmonics_below_nyquist_are_equally_strong_and_nothing_lies_between(
    rate: int, f0: float
) -> None:
    # 800 ms hold a whole number of periods of each F0, so that harmonics fall on bins.
    sound = excitation(np.full(200, f0), np.ones(200), rate)[rate // 2 :][: rate // 5 * 4]
    spectrum = np.abs(np.fft.rfft(sound)) / len(sound) * 2
    hertz = np.fft.rfftfreq(len(sound), 1 / rate)
    harmonic = np.abs(hertz / f0 - np.round(hertz / f0)) < 1e-6
    harmonic[0] = False
    harmonic &= hertz < rate / 2 - f0
    assert spectrum[harmonic] == pytest.approx(np.sqrt(4 * f0 / rate), rel=1e-3)
    assert spectrum[~harmonic & (hertz < rate / 2 - f0)].max() < 1e-3


def test_power_is_one_whatever_the_pitch() -> None:
    for f0 in (80.0, 120.0, 300.0):
        assert excitation(np.full(300, f0), np.ones(300), 16000).std() == pytest.approx(1, rel=0.03)


def test_unvoiced_frames_are_silent_but_for_a_frame_on_each_side() -> None:
    voiced = np.zeros(60)
    voiced[20:40] = 1
    sound = excitation(np.full(60, 200.0), voiced, 16000)
    assert not sound[: 18 * 160].any()
    assert not sound[42 * 160 :].any()
    assert sound[19 * 160 : 41 * 160].std() > 0.5


def test_a_part_is_computed_as_in_the_whole() -> None:
    f0 = 150 + 60 * np.sin(np.arange(400) / 9)
    voiced = (np.arange(400) // 50) % 2
    phase = phase_at_frames(f0.astype(np.float32))
    arrays = [torch.from_numpy(array.astype(np.float32))[None] for array in (f0, voiced, phase)]
    whole = pulse_train(*arrays, 32000)[0]
    part = pulse_train(*(array[:, 100:220] for array in arrays), 32000)[0]
    assert torch.equal(whole[102 * 320 : 218 * 320], part[2 * 320 : 118 * 320])
