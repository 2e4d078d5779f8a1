"""Preparation against the original's: where recordings are cut, what pieces sound like, what is learnt."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import soxr
import torch

from rvc.architectures import FRAMES_PER_ROW, TrainingSet
from rvc.audio import ANALYSIS_RATE_HERTZ
from rvc.dataset.pieces import even_loudness, piece_bounds, remove_rumble_causally
from rvc.dataset.slicing import SlicingSettings, slice_on_silence
from rvc.parity.findings import Check, Deviation, Finding, absolute, equal, relative
from rvc.parity.synthesizers import Arrays, arrays_of
from rvc.rvc2.batches import Batches
from rvc.rvc2.geometry import Geometry
from rvc.signal import Floats

_SAMPLE_TOLERANCE = 1e-4
_LEVEL_TOLERANCE = 1e-4
_WHOLE_FILE_TOLERANCE = 5e-4
"""Of levels where the original resamples pieces and we resample recordings."""
_STORED_SAMPLES = 97
"""Of a sound, every 97th sample is stored."""
_OWN_DEFAULTS = SlicingSettings(-40.0, 5000, 300, 20, 5000)
"""Of the slicer itself, which RVC sets otherwise."""
_SHORTEST, _LONGEST = 100, 900
"""What the original trains on lies between, in units of its sampler."""
_UNITS_PER_FRAME = 4 / 3


def check_slicer(path: Path) -> Iterable[Finding | Deviation]:
    """`slicer.npz`: recordings at several rates, and where they are cut."""
    arrays = arrays_of(path)
    for rate in _rates(arrays):
        stored = arrays[f"wave_i16_{rate}"]
        if f"sha_i16_{rate}" in arrays:
            digest = hashlib.sha256(stored.tobytes()).hexdigest()
            yield equal(f"wave_i16_{rate}", digest, str(arrays[f"sha_i16_{rate}"]))
        bounds = slice_on_silence(_wave(arrays, rate), rate)
        yield equal(f"bounds_{rate}", bounds, arrays[f"bounds_{rate}"])
        yield equal(f"lens_{rate}", [end - start for start, end in bounds], arrays[f"lens_{rate}"])
        if f"lens_{rate}_default" in arrays:
            own = [end - start for start, end in slice_on_silence(_wave(arrays, rate), rate, _OWN_DEFAULTS)]
            yield equal(f"lens_{rate}_default", own, arrays[f"lens_{rate}_default"])


def check_preprocessing(path: Path) -> Iterable[Finding | Deviation]:
    """`preprocess_<rate>k.npz`: the pieces of the recording in `slicer.npz`."""
    arrays, rate = arrays_of(path), _rate_in(path.stem)
    recording = _wave(arrays_of(path.with_name("slicer.npz")), rate)
    kept, lost = _numbered(_pieces(remove_rumble_causally(recording, rate), rate))
    at_16k = remove_rumble_causally(soxr.resample(recording, rate, ANALYSIS_RATE_HERTZ), ANALYSIS_RATE_HERTZ)
    yield equal("names", sorted(kept), sorted(arrays["names"].tolist()))
    for place, name in enumerate(arrays["names"].tolist()):
        start, piece = kept.get(name, (0, np.zeros(0, np.float32)))
        sound = even_loudness(piece)
        yield equal(f"{name} length", len(sound), arrays["len_gt"][place])
        yield absolute(name, sound[::_STORED_SAMPLES], arrays[f"gt_{name}"], _SAMPLE_TOLERANCE)
        yield relative(f"{name} peak", np.abs(sound).max(initial=0), arrays["peak"][place], _LEVEL_TOLERANCE)
        yield relative(f"{name} RMS", _rms(sound), arrays["rms_gt"][place], _LEVEL_TOLERANCE)
        heard = at_16k[_at_16k(start, rate) : _at_16k(start + len(piece), rate)]
        yield equal(f"{name} length at 16 kHz", len(heard), arrays["len_16k"][place])
        level = _rms(heard) * _rms(sound) / max(_rms(piece), 1e-9)
        yield relative(f"{name} RMS at 16 kHz", level, arrays["rms_16k"][place], _WHOLE_FILE_TOLERANCE)
    yield Deviation(
        "samples at 16 kHz",
        "networks hear whole recordings, so that no piece begins without its past; their levels are compared",
    )
    for name, (start, piece) in lost:
        yield Deviation(
            f"{len(piece)} samples from {start}",
            f"the original writes {name} over them; no piece of ours is lost",
        )


def check_bucket_sampler(path: Path) -> Iterable[Finding | Deviation]:
    """`bucket_sampler.npz`: lengths of clips, and the batches that the original makes of them."""
    arrays = arrays_of(path)
    lengths = arrays["lengths"]
    outside = np.flatnonzero((lengths <= _SHORTEST) | (lengths > _LONGEST))
    epochs = {name: batches for name, batches in arrays.items() if name.startswith("batches_")}
    for name, batches in epochs.items():
        left_out = np.setdiff1d(np.arange(len(lengths)), batches)
        yield equal(f"{name}: clips that the original leaves out", left_out, outside)
        missed = _rows_never_drawn(lengths, batches.shape[1], int(name[-1]) - 1)
        yield absolute(f"{name}: rows of these clips that we leave out", missed, 0, 0.0)
    yield Deviation(
        "batches",
        "the original leaves out clips that are short or long and draws others twice to fill up its buckets; "
        "we draw every piece once an epoch, of any length, in an order of our own",
    )


def _rows_never_drawn(lengths: np.ndarray, batch_size: int, epoch: int) -> int:
    """Of clips of these lengths (in units of the original's sampler) in one of our epochs."""
    rows = np.round(lengths / _UNITS_PER_FRAME / FRAMES_PER_ROW).astype(np.int64)
    geometry = Geometry.official("v2", 32000, f0=True)
    frames = int(rows.sum()) * FRAMES_PER_ROW
    dataset = TrainingSet(
        sample_rate_hertz=geometry.sample_rate_hertz,
        content=np.zeros((int(rows.sum()), 1), np.float32),
        f0_hertz=np.zeros(frames, np.float32),
        loudness=np.zeros(frames, np.float32),
        audio=np.zeros(frames * geometry.hop, np.float32),
        clip_rows=np.cumsum([0, *rows]),
        clip_speakers=np.zeros(len(rows), np.int64),
        speakers=1,
        digest="",
    )
    batches = Batches(dataset, geometry, 1, batch_size, 0, torch.device("cpu"))
    drawn = np.zeros(len(dataset.content), bool)
    first = epoch * batches.steps_per_epoch
    for step in range(first, first + batches.steps_per_epoch):
        for piece in batches.draw(step).pieces:
            drawn[piece.first_row : piece.first_row + piece.rows] = True
    return int((~drawn).sum())


def _pieces(audio: Floats, rate: int) -> list[list[tuple[int, Floats]]]:
    """For each slice its pieces: (first sample in the recording, samples)."""
    return [
        [
            (first + start, audio[first + start : first + end])
            for start, end in piece_bounds(last - first, rate)
        ]
        for first, last in slice_on_silence(audio, rate)
    ]


def _numbered(
    slices: list[list[tuple[int, Floats]]],
) -> tuple[dict[str, tuple[int, Floats]], list[tuple[str, tuple[int, Floats]]]]:
    """(pieces by the names that the original gives them, those that it writes over).

    It counts up after each full piece, and once more before the last one of a slice.
    """
    kept: dict[str, tuple[int, Floats]] = {}
    lost = []
    number = 0
    for pieces in slices:
        for place, piece in enumerate(pieces):
            last = place == len(pieces) - 1
            number += last
            name = f"0_{number}.wav"
            if name in kept:
                lost.append((name, kept[name]))
            kept[name] = piece
            number += not last
    return kept, lost


def _rates(arrays: Arrays) -> list[int]:
    return sorted(_rate_in(name) for name in arrays if name.startswith("wave_i16_"))


def _rate_in(name: str) -> int:
    """32000 of `wave_i16_32000` and of `preprocess_32k`."""
    match = re.search(r"_(\d+)(k?)$", name)
    if match is None:
        raise ValueError(f"{name} does not say a rate")
    return int(match[1]) * (1000 if match[2] else 1)


def _wave(arrays: Arrays, rate: int) -> Floats:
    wave: Floats = arrays[f"wave_i16_{rate}"].astype(np.float32) / np.float32(32768)
    return wave


def _rms(sound: Floats) -> float:
    return float(np.sqrt(np.square(sound, dtype=np.float64).mean())) if len(sound) else 0.0


def _at_16k(sample: int, rate: int) -> int:
    return round(sample * ANALYSIS_RATE_HERTZ / rate)


CHECKS: Mapping[str, Check] = {
    "slicer*.npz": check_slicer,
    "preprocess_*k.npz": check_preprocessing,
    "bucket_sampler*.npz": check_bucket_sampler,
}
