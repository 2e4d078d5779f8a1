"""Pictures of a training: its losses, and the spectrograms of what was recorded and what the voice says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rvc.audio.mel import slaney_mel_filters
from rvc.signal import Floats
from rvc.training.course import Epoch

_INCHES = (9.0, 5.0)
_DOTS_PER_INCH = 100
_MEL_BANDS = 128
_RANGE_DECIBELS = 80.0


def draw_losses(epochs: Sequence[Epoch], path: Path) -> None:
    """A curve for each loss over the epochs, each over its largest value; validation figures with dots."""
    figure = _figure()
    axes = figure.add_subplot(xlabel="epoch", ylabel="share of the largest value")
    for name in sorted({name for epoch in epochs for name in epoch.losses}):
        _curve(axes, name, [(epoch.number, epoch.losses[name]) for epoch in epochs if name in epoch.losses])
    for name in sorted({name for epoch in epochs for name in epoch.validation}):
        points = [(epoch.number, epoch.validation[name]) for epoch in epochs if name in epoch.validation]
        _curve(axes, name if name == "validation" else f"validation: {name}", points, marker="o")
    axes.set_ylim(bottom=0)
    axes.xaxis.get_major_locator().set_params(integer=True)
    figure.legend(loc="outside right upper")
    figure.savefig(path)


def draw_spectrograms(recorded: Floats, spoken: Floats, sample_rate_hertz: int, path: Path) -> None:
    """Mel spectrograms one above the other, in one scale of loudness."""
    figure = _figure()
    pictures = [_mel_decibels(sound, sample_rate_hertz) for sound in (recorded, spoken)]
    top = float(pictures[0].max())
    seconds = len(recorded) / sample_rate_hertz
    for place, (name, picture) in enumerate(zip(("recorded", "spoken"), pictures, strict=True), 1):
        axes = figure.add_subplot(2, 1, place, title=name, ylabel="mel band")
        axes.imshow(
            picture,
            origin="lower",
            aspect="auto",
            vmin=top - _RANGE_DECIBELS,
            vmax=top,
            extent=(0, seconds, 0, _MEL_BANDS),
        )
    axes.set_xlabel("seconds")
    figure.savefig(path)


def _figure() -> Any:
    # Imported here: it takes a second, and who only converts does not need it installed. No `pyplot`, which
    # would look for a screen and keep every figure.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=_INCHES, dpi=_DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _curve(axes: Any, name: str, points: list[tuple[int, float]], marker: str = "") -> None:
    numbers, values = zip(*points, strict=True)
    largest = max(abs(value) for value in values) or 1.0
    axes.plot(
        numbers, [value / largest for value in values], marker=marker, label=f"{name} (/ {largest:.3g})"
    )


def _mel_decibels(sound: Floats, sample_rate_hertz: int) -> np.ndarray:
    size = sample_rate_hertz // 20
    samples = torch.from_numpy(np.ascontiguousarray(sound, dtype=np.float32))
    spectrum = torch.stft(samples, size, size // 4, window=torch.hann_window(size), return_complex=True)
    filters = slaney_mel_filters(sample_rate_hertz, size, _MEL_BANDS, 0.0, sample_rate_hertz / 2)
    decibels: np.ndarray = (10 * (filters @ spectrum.abs().square() + 1e-10).log10()).numpy()
    return decibels
