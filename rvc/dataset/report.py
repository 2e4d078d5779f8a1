"""What a person should know of the recordings before they wait for a voice: `dataset.json`, `rvc inspect`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct

from rvc.audio.read import open_audio
from rvc.dataset.recordings import RECOMMENDED_SECONDS, Refusal
from rvc.signal import Floats, active_frames, loud_level

_CLIPPED_FROM = 0.98
_CLIPPED_RUN = 3
"""So many samples at full scale in a row are a wave whose top was cut off, not one that just reaches it."""
_NOISE_PERCENTILE = 5
_FEWEST_VOICED_FRAMES = 100
_CLIPPED_PERCENT = 0.1
_LEAST_SIGNAL_TO_NOISE_DECIBELS = 20.0
_SILENT_PERCENT = 60.0
_SEVERAL_SPEAKERS_SEMITONES = 7.0
_NAMES_SHOWN = 3


class _Json(Struct, frozen=True, rename="camel"):
    pass


class RecordingReport(_Json, frozen=True):
    """One recording that is used."""

    name: str
    speaker: str
    seconds: float
    kept_seconds: float
    """Without pauses, and without scraps of speech that are too short to learn from."""
    dropped_seconds: dict[str, float]
    """By reason: `Pause`, `ClipTooShort`."""
    clipped_percent: float
    """Of its samples: those where the wave's top was cut off at full scale."""
    silent_percent: float
    """Of its time: far below its loud parts."""
    noise_floor_decibels: float
    """Level of its quietest parts, full scale = 0."""
    signal_to_noise_decibels: float
    """From there to its loud parts; an estimate, too low where nobody ever pauses."""
    pitch_hertz: tuple[float, float, float] | None
    """Percentiles 5, 50 and 95 of F0, None where next to nothing is voiced."""
    held_out: bool = False
    """Whether it is kept from training, to judge the voice by."""


class RefusalReport(_Json, frozen=True):
    """One recording that is not used."""

    name: str
    reason: str
    message: str


class DatasetReport(_Json, frozen=True):
    """The dataset as a whole."""

    seconds: float
    kept_seconds: float
    pitch_hertz: tuple[float, float, float] | None
    speakers: tuple[str, ...]
    """Names, empty for a voice of one speaker."""
    warnings: tuple[str, ...]
    recordings: tuple[RecordingReport, ...]
    refused: tuple[RefusalReport, ...]

    def write(self, path: Path) -> None:
        """As JSON for people and programs."""
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n")

    @property
    def summary(self) -> str:
        """The report in a line."""
        pitch = "hardly a voiced sound"
        if self.pitch_hertz is not None:
            low, middle, high = self.pitch_hertz
            pitch = f"F0 {low:.0f} to {high:.0f} Hz, median {middle:.0f} Hz"
        of_speakers = f" of {len(self.speakers)} speakers" if self.speakers else ""
        return (
            f"{self.kept_seconds / 60:.1f} minutes of speech{of_speakers} from {len(self.recordings)} "
            f"recordings of {self.seconds / 60:.1f} minutes, {pitch}; {len(self.refused)} recordings refused"
        )

    def complaints(self) -> list[str]:
        """What is refused and what to be warned of, a line each."""
        refused = [f"recording not used: {refusal.message}" for refusal in self.refused]
        return [*refused, *self.warnings]

    def table(self) -> list[str]:
        """A line for each recording that is used, under a line that says what they mean."""
        head = (
            f"{'kept':>8} {'of':>8} {'clipped':>8} {'silent':>7} {'floor':>7} {'SNR':>6} {'F0':>6}  recording"
        )
        return [head, *map(_row, self.recordings)]


def _row(one: RecordingReport) -> str:
    pitch = f"{one.pitch_hertz[1]:.0f} Hz" if one.pitch_hertz else "-"
    cells = (
        f"{one.kept_seconds:6.1f} s {one.seconds:6.1f} s",
        f"{one.clipped_percent:6.2f} % {one.silent_percent:5.1f} %",
        f"{one.noise_floor_decibels:4.0f} dB {one.signal_to_noise_decibels:3.0f} dB",
        f"{pitch:>6}  {one.name}",
    )
    return " ".join(cells)


def clipped_percent(path: Path) -> float:
    """Share of a file's samples in runs at full scale, at the file's own rate; raises as `open_audio`."""
    clipped = samples = run = 0
    with open_audio(path) as reader:
        for block in reader.blocks():
            samples += len(block)
            for full, length in _runs(np.abs(block) >= _CLIPPED_FROM):
                # A run may go on from the block before.
                run = run + length if full else 0
                if run >= _CLIPPED_RUN:
                    clipped += run if run - length < _CLIPPED_RUN else length
    return round(100 * clipped / max(1, samples), 3)


def _runs(flags: np.ndarray) -> list[tuple[bool, int]]:
    edges = np.flatnonzero(np.diff(flags)) + 1
    bounds = [0, *edges.tolist(), len(flags)]
    return [(bool(flags[start]), end - start) for start, end in pairwise(bounds) if end > start]


def silent_percent(levels: Floats) -> float:
    """Share of the frames that are no speech, by their levels in dB."""
    return round(100 * float(1 - active_frames(levels).mean()), 1)


def noise_and_signal(levels: Floats) -> tuple[float, float]:
    """(noise floor, signal to noise) in dB, by the levels of the frames."""
    floor = float(np.percentile(levels, _NOISE_PERCENTILE))
    return round(floor, 1), round(loud_level(levels) - floor, 1)


def pitch_range(f0_hertz: Floats) -> tuple[float, float, float] | None:
    """Percentiles 5, 50 and 95 of the voiced frames."""
    voiced = f0_hertz[f0_hertz > 0]
    if len(voiced) < _FEWEST_VOICED_FRAMES:
        return None
    low, middle, high = (round(float(hertz), 1) for hertz in np.percentile(voiced, (5, 50, 95)))
    return low, middle, high


def report_on(
    recordings: Sequence[RecordingReport],
    refusals: Sequence[Refusal],
    pitch_hertz: tuple[float, float, float] | None,
    speakers: tuple[str, ...],
) -> DatasetReport:
    """The report on a dataset, with its warnings."""
    kept = round(sum(recording.kept_seconds for recording in recordings), 2)
    refused = tuple(RefusalReport(refusal.name, refusal.reason, refusal.message) for refusal in refusals)
    return DatasetReport(
        seconds=round(sum(recording.seconds for recording in recordings), 2),
        kept_seconds=kept,
        pitch_hertz=pitch_hertz,
        speakers=speakers,
        warnings=tuple(_warnings(recordings, kept, speakers)),
        recordings=tuple(recordings),
        refused=refused,
    )


def _warnings(recordings: Sequence[RecordingReport], kept: float, speakers: Sequence[str]) -> list[str]:
    warnings = []
    if round(kept / 60) < RECOMMENDED_SECONDS / 60:  # ten minutes less a breath are ten minutes
        warnings.append(
            f"{kept / 60:.1f} minutes of speech are little; {RECOMMENDED_SECONDS / 60:.0f} are recommended"
        )
    clipped = [one.name for one in recordings if one.clipped_percent > _CLIPPED_PERCENT]
    if clipped:
        warnings.append(f"clipped: {_some(clipped)}; record with less gain, the voice learns the distortion")
    noisy = [one.name for one in recordings if one.signal_to_noise_decibels < _LEAST_SIGNAL_TO_NOISE_DECIBELS]
    if noisy:
        warnings.append(f"noisy: {_some(noisy)}; record in a quieter room, the voice learns the noise")
    silent = [one.name for one in recordings if one.silent_percent > _SILENT_PERCENT]
    if silent:
        warnings.append(f"mostly silence: {_some(silent)}; cut the recordings to the speech")
    if not speakers and (hint := _hint_at_several_speakers(recordings)):
        warnings.append(hint)
    return warnings


def _hint_at_several_speakers(recordings: Sequence[RecordingReport]) -> str:
    medians = sorted((one.pitch_hertz[1], one.name) for one in recordings if one.pitch_hertz)
    if not medians:
        return ""
    (low, low_name), (high, high_name) = medians[0], medians[-1]
    if 12 * math.log2(high / low) < _SEVERAL_SPEAKERS_SEMITONES:
        return ""
    return (
        f"{low_name} is spoken at {low:.0f} Hz and {high_name} at {high:.0f} Hz: these may be several "
        "speakers; put each into a folder of its own and train with multiSpeaker, or keep one"
    )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(names[:_NAMES_SHOWN]) + more
