import numpy as np
import pytest
import torch

from rvc.rvc2.source import Source, sine


@pytest.mark.parametrize("rate", [32000, 40000, 48000])
def test_the_sine_sums_f0_and_is_silent_where_unvoiced(rate: int) -> None:
    f0 = torch.tensor([[0.0, 220.0, 221.5, 0.0, 500.0]])
    waves, voiced = sine(f0, rate)
    per_sample = np.repeat(f0[0].double().numpy(), rate // 100) / rate
    expected = 0.1 * np.sin(2 * np.pi * np.cumsum(per_sample)) * (per_sample > 0)
    np.testing.assert_allclose(waves[0], expected, atol=1e-6)
    assert np.array_equal(voiced[0], per_sample > 0)


def test_minutes_do_not_drift() -> None:
    # 250 Hz turns by 1/128 at each of 32000 samples a second, so that every second frame is the same.
    waves, _ = sine(torch.full((1, 12_000), 250.0), 32000)
    torch.testing.assert_close(waves[:, -640:], waves[:, :640], atol=1e-7, rtol=0)


def test_a_window_continues_where_it_is_told() -> None:
    f0 = 100 + 200 * torch.rand(2, 60, generator=torch.Generator().manual_seed(0))
    f0[:, 20:25] = 0
    whole, _ = sine(f0, 48000)
    start = (f0[:, :30] / 48000).double().sum(1) * 480
    rest, _ = sine(f0[:, 30:], 48000, start % 1)
    torch.testing.assert_close(rest, whole[:, 30 * 480 :], atol=1e-6, rtol=0)


def test_noise_is_louder_where_unvoiced() -> None:
    source = Source(32000)
    with torch.no_grad():
        source.l_linear.weight.fill_(1)
        source.l_linear.bias.fill_(0)
    f0 = torch.tensor([[0.0, 150.0]])
    silent, noisy = source(f0), source(f0, torch.ones(1, 640))
    added = torch.atanh(noisy.double()) - torch.atanh(silent.double())
    torch.testing.assert_close(added[0, 0, :320], torch.full((320,), 0.1 / 3).double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(added[0, 0, 320:], torch.full((320,), 0.003).double(), atol=1e-6, rtol=0)
