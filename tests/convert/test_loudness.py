from collections.abc import Iterator

import numpy as np
import pytest

from rvc.loudness import mix_loudness, rms_every_half_second
from tests.fixtures.parity import parity_arrays


def in_blocks(audio: np.ndarray, size: int) -> Iterator[np.ndarray]:
    return (audio[start : start + size] for start in range(0, len(audio), size))


def mixed(audio: np.ndarray, rate: int, source: np.ndarray, mix_rate: float, block: int = 4097) -> np.ndarray:
    rms = rms_every_half_second(source, 16000)
    return np.concatenate(list(mix_loudness(in_blocks(audio, block), len(audio), rate, rms, mix_rate)))


def waxing(seconds: float, rate: int, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(int(seconds * rate))
    return (0.1 * noise * np.linspace(0.2, 1.5, len(noise))).astype(np.float32)


@pytest.mark.parametrize("mix_rate", ["0.0", "0.25", "0.5", "1.0"])
def test_it_is_what_the_original_does(mix_rate: str) -> None:
    numbers = parity_arrays("change_rms.npz")
    target = numbers["target48k_f16"].astype(np.float32)
    ours = mixed(target, 48000, numbers["source16k"], float(mix_rate))
    np.testing.assert_allclose(ours, numbers[f"out_{mix_rate}"], atol=1e-5)


@pytest.mark.parametrize("seconds", [0.2, 0.5, 1.7, 6.03])
def test_blocks_of_any_size_give_the_same(seconds: float) -> None:
    audio, source = waxing(seconds, 40000, 0), waxing(seconds, 16000, 1)
    whole = mixed(audio, 40000, source, 0.25, len(audio))
    assert len(whole) == len(audio)
    for block in (1000, 20000, 33333):
        assert np.array_equal(mixed(audio, 40000, source, 0.25, block), whole)


def test_0_imposes_the_loudness_of_the_source() -> None:
    source = waxing(8, 16000, 1)[::-1].copy()
    ours = rms_every_half_second(mixed(waxing(8, 40000, 0), 40000, source, 0.0), 40000)
    theirs = rms_every_half_second(source, 16000)
    assert ours[1:-1] == pytest.approx(theirs[1:-1], rel=0.1)


def test_silence_stays_silence() -> None:
    silence = np.zeros(80000, np.float32)
    assert not mixed(silence, 40000, waxing(2, 16000, 1), 0.25).any()
    assert not mixed(waxing(2, 40000, 1), 40000, np.zeros(32000, np.float32), 0.25).any()
