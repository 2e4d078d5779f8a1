"""Disguises for the student's ear: another throat, another pitch, a room, noise, a telephone.

The teacher hears the recording as it is, the student hears it disguised and has to say the same: so it
learns to hear the content and not the voice or the channel. Voice and channel change in the spectrum, where
time stays as it was. The log spectrum is parted into its smooth envelope (the throat) and the rest (the
harmonics), and each is stretched along frequency by a factor of its own.
"""

from __future__ import annotations

import math

import torch

from rvc.content.small.network import FFT_SIZE, HOP, SAMPLE_RATE_HERTZ, power_spectrum

_BINS = FFT_SIZE // 2 + 1
_HERTZ_PER_BIN = SAMPLE_RATE_HERTZ / FFT_SIZE
_ENVELOPE_COEFFICIENTS = 22
"""Of the cosine transform of the log spectrum: finer ripples are harmonics."""
_LARGEST_FORMANT_SHIFT = 0.2
_LARGEST_PITCH_SHIFT = 0.35
"""Natural logarithms of the factors."""
_STEPS = 12
_FAINTEST = 1e-9


class Disguise:
    """Draws a disguise for every segment; what it draws depends on the generator alone."""

    def __init__(self, generator: torch.Generator) -> None:
        self._generator = generator
        self._window = torch.hann_window(FFT_SIZE)
        order = torch.arange(_BINS, dtype=torch.float64)
        cosines = torch.cos(math.pi * torch.outer(torch.arange(_ENVELOPE_COEFFICIENTS), order) / (_BINS - 1))
        ends = torch.ones(_BINS, dtype=torch.float64)
        ends[[0, -1]] = 0.5
        weights = torch.full((_ENVELOPE_COEFFICIENTS, 1), 2.0, dtype=torch.float64)
        weights[0] = 1.0
        smooth = cosines.T @ (weights * cosines * ends) / (_BINS - 1)
        formants = _stretches(_LARGEST_FORMANT_SHIFT, hold=True)
        pitches = _stretches(_LARGEST_PITCH_SHIFT, hold=False)
        self._formants = (formants @ smooth).float()
        self._pitches = (pitches @ (torch.eye(_BINS, dtype=torch.float64) - smooth)).float()

    def __call__(self, samples: torch.Tensor) -> torch.Tensor:
        """Samples [batch, 160 frames + 240] to the power of their disguise [batch, 201, frames]."""
        batch = len(samples)
        samples = torch.where(self._chance(0.25, batch)[:, None], self._in_a_room(samples), samples)
        power = power_spectrum(samples, self._window).clamp_min(_FAINTEST)
        power = torch.where(self._chance(0.85, batch)[:, None, None], self._other_voice(power), power)
        power = power * self._channel(batch)[:, :, None]
        power = torch.where(self._chance(0.5, batch)[:, None, None], power + self._noise(power), power)
        power = power * self._band(batch)[:, :, None]
        level = 10 ** (self._between(-2.0, 1.2, batch) * self._uniform(batch))
        return power * level[:, None, None]

    def _other_voice(self, power: torch.Tensor) -> torch.Tensor:
        chosen = torch.randint(2 * _STEPS + 1, (2, len(power)), generator=self._generator)
        log_power = power.log()
        stretched = self._formants[chosen[0]] @ log_power + self._pitches[chosen[1]] @ log_power
        return stretched.clamp(math.log(_FAINTEST), 20.0).exp()

    def _channel(self, batch: int) -> torch.Tensor:
        """A smooth response over frequency, [batch, 201]."""
        knots = 0.4 * torch.randn(batch, 1, 7, generator=self._generator)
        smooth = torch.nn.functional.interpolate(knots, _BINS, mode="linear", align_corners=True)
        return torch.as_tensor(10.0 ** smooth[:, 0])

    def _band(self, batch: int) -> torch.Tensor:
        """A telephone or a poor microphone takes away what is high, or low: [batch, 201]."""
        hertz = torch.arange(_BINS) * _HERTZ_PER_BIN
        low_pass = torch.where(self._chance(0.25, batch), self._between(3200.0, 6500.0, batch), 1e5)
        high_pass = torch.where(self._chance(0.15, batch), self._between(100.0, 350.0, batch), -1e5)
        above = (hertz - low_pass[:, None]).clamp_min(0.0) / 100.0
        below = (high_pass[:, None] - hertz).clamp_min(0.0) / 100.0
        return torch.as_tensor(10.0 ** -(above + below))

    def _noise(self, power: torch.Tensor) -> torch.Tensor:
        """Steady noise, coloured, 5 to 45 dB below the segment."""
        batch, bins, frames = power.shape
        signal = power.mean((1, 2))
        chi = -torch.rand(batch, bins, frames, generator=self._generator).clamp_min(1e-6).log()
        colour = self._channel(batch).square()
        colour = colour / colour.mean(1, keepdim=True)
        ratio = 10 ** (-self._between(5.0, 45.0, batch) / 10)
        return torch.as_tensor(chi * (colour * (signal * ratio)[:, None])[:, :, None])

    def _in_a_room(self, samples: torch.Tensor) -> torch.Tensor:
        """Decaying echoes, 2 to 20 dB below the voice."""
        batch, length = samples.shape
        echo_samples = SAMPLE_RATE_HERTZ // 3
        seconds = torch.arange(echo_samples) / SAMPLE_RATE_HERTZ
        decay = self._between(0.08, 0.5, batch)
        echoes = torch.randn(batch, echo_samples, generator=self._generator)
        echoes = echoes * torch.exp(-6.9 * seconds / decay[:, None]) * (seconds > 0.002)
        strength = 10 ** (-self._between(2.0, 20.0, batch) / 20)
        echoes = echoes * (strength / echoes.square().sum(1).sqrt())[:, None]
        echoes[:, 0] = 1.0
        size = 1 << (length + echo_samples - 1).bit_length()
        product = torch.fft.rfft(samples, size) * torch.fft.rfft(echoes, size)
        return torch.as_tensor(torch.fft.irfft(product, size)[:, :length])

    def _uniform(self, batch: int) -> torch.Tensor:
        return torch.rand(batch, generator=self._generator)

    def _between(self, low: float, high: float, batch: int) -> torch.Tensor:
        return low + (high - low) * self._uniform(batch)

    def _chance(self, probability: float, batch: int) -> torch.Tensor:
        return self._uniform(batch) < probability


def plain_samples(frames: int) -> int:
    """Samples that give that many frames."""
    return frames * HOP + FFT_SIZE - HOP


def _stretches(largest: float, *, hold: bool) -> torch.Tensor:
    """[25, 201, 201]: matrices that move what is at f to f * factor; past the end the last bin or 0."""
    factors = torch.exp(torch.linspace(-largest, largest, 2 * _STEPS + 1, dtype=torch.float64))
    source = torch.arange(_BINS, dtype=torch.float64) / factors[:, None]
    if hold:
        source = source.clamp_max(_BINS - 1.0)
    bins = torch.arange(_BINS, dtype=torch.float64)
    return (1.0 - (source[..., None] - bins).abs()).clamp_min(0.0)
