"""From recordings to what training needs: extract features, hold some recordings out, join the others."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from rvc.architectures import ROWS_PER_SECOND, Conventions, TrainingSet
from rvc.audio import ANALYSIS_RATE_HERTZ
from rvc.dataset.features import FORMAT, Extractor, FeatureKeeper, Features, extracted
from rvc.dataset.hearing import hear
from rvc.dataset.held_out import HELD_OUT_SECONDS, held_out
from rvc.dataset.recordings import Recording, Refusal, dataset_digest, require_enough
from rvc.dataset.report import DatasetReport, RecordingReport, pitch_range, report_on
from rvc.dataset.timeline import (
    SILENT_SECONDS,
    Part,
    Recipe,
    join,
    moments_of,
)
from rvc.errors import InvalidAudio, InvalidDataset
from rvc.parallel import SINGLE, Parallel
from rvc.pitch import PitchExtractor
from rvc.signal import Moments

_INSPECTED = Conventions(standardizes_content=False, levels_speech=True, gates_f0=True)
"""The report is nearly the same whatever the architecture; speech is found best at its level."""


@dataclass(frozen=True)
class PreparedDataset:
    """What training needs, and what the voice's manifest tells about it."""

    training_set: TrainingSet
    """What is trained on."""
    speech_rows: int
    """Of its rows those that were recorded; silence that was added follows."""
    held_out: TrainingSet | None
    """Recordings that are not trained on; None where there are too few to spare any."""
    content_moments: Moments
    """Of the speakers' content before it was standardized."""
    level_moments: Moments
    """Of the speakers' level in dB."""
    speaker_medians_hertz: tuple[float, ...]
    """Median F0 of each speaker, 0 where nothing is voiced."""
    report: DatasetReport

    @property
    def seconds(self) -> float:
        """How much speech is trained on."""
        return self.speech_rows / ROWS_PER_SECOND

    @property
    def index_content(self) -> list[NDArray[np.float32]]:
        """Content rows of each speaker for retrieval."""
        rows = np.diff(self.training_set.clip_rows)
        owners = np.repeat(self.training_set.clip_speakers, rows)[: self.speech_rows]
        spoken = self.training_set.content[: self.speech_rows]
        return [spoken[owners == speaker].astype(np.float32) for speaker in range(self.training_set.speakers)]


@dataclass(frozen=True)
class _Usable:
    recording: Recording
    report: RecordingReport
    part: Part


def prepare_training_set(
    recordings: Sequence[Recording],
    speakers: tuple[str, ...],
    extractor: Extractor,
    work_folder: Path,
    *,
    on_recording: Callable[[int], None],
    keeper: FeatureKeeper | None = None,
    parallel: Parallel = SINGLE,
) -> PreparedDataset:
    """Extract (or find again) the features of all recordings and join them.

    `speakers` are their names, empty for one speaker without a name. `on_recording(n)` is called after each
    recording and may raise to stop. `keeper` has what earlier attempts extracted, and gets what is new. With
    several processes the leading one extracts and writes, the others
    wait for it and read. Raises InvalidDataset when less than ten seconds of speech are left or a speaker has
    none; recordings that cannot be used are in the report.
    """
    cache = work_folder / "features"
    cache.mkdir(parents=True, exist_ok=True)
    if not parallel.leads:
        parallel.wait()
    if keeper is not None:
        keeper.bring(cache)
    try:
        usable, refusals = _extract_all(recordings, speakers, extractor, cache, on_recording, keeper)
    finally:
        if keeper is not None:
            keeper.finish()
    require_enough(sum(one.report.kept_seconds for one in usable), len(recordings), refusals)
    _require_all_speakers(usable, speakers)
    spared = held_out([one.recording for one in usable], [one.report.kept_seconds for one in usable])
    trained = [one.part for one in usable if one.recording.name not in spared]
    content_moments, level_moments = moments_of(trained)
    conventions = extractor.conventions
    recipe = Recipe(
        sample_rate_hertz=extractor.sample_rate_hertz,
        speakers=max(1, len(speakers)),
        digest=_digest(recordings, extractor),
        content_moments=content_moments if conventions.standardizes_content else None,
        level_moments=level_moments,
        silence=None if conventions.levels_speech else _silence(extractor),
    )
    training_set = join(trained, recipe, work_folder / "audio.npy", write=parallel.leads)
    judged = _join_held_out(usable, spared, recipe, work_folder / "held-out.npy", parallel)
    if parallel.leads:
        parallel.wait()
    pitch, medians = _pitch(usable, recipe.speakers)
    reports = [msgspec.structs.replace(one.report, held_out=one.recording.name in spared) for one in usable]
    report = report_on(reports, refusals, pitch, speakers)
    speech_rows = sum(int(part.clip_rows[-1]) for part in trained)
    return PreparedDataset(training_set, speech_rows, judged, content_moments, level_moments, medians, report)


def inspect_recordings(
    recordings: Sequence[Recording],
    speakers: tuple[str, ...],
    pitch: PitchExtractor,
    *,
    on_recording: Callable[[int], None],
) -> DatasetReport:
    """The report on recordings, without all that only training needs."""
    reports: list[RecordingReport] = []
    refusals: list[Refusal] = []
    tracks = [np.zeros(0, np.float32)]
    for number, recording in enumerate(recordings, 1):
        try:
            heard = hear(recording, pitch, _INSPECTED, speakers[recording.speaker] if speakers else "")
            reports.append(heard.report)
            tracks.append(heard.f0_hertz)
        except InvalidAudio as error:
            refusals.append(Refusal(recording.name, error.reason, str(error)))
        on_recording(number)
    return report_on(reports, refusals, pitch_range(np.concatenate(tracks)), speakers)


def _extract_all(
    recordings: Sequence[Recording],
    speakers: tuple[str, ...],
    extractor: Extractor,
    cache: Path,
    on_recording: Callable[[int], None],
    keeper: FeatureKeeper | None,
) -> tuple[list[_Usable], list[Refusal]]:
    usable: list[_Usable] = []
    refusals: list[Refusal] = []
    for number, recording in enumerate(recordings, 1):
        speaker = speakers[recording.speaker] if speakers else ""
        try:
            path, report = extracted(recording, extractor, cache, speaker, keeper)
            part = Part(path, Features.read(path).clip_rows, recording.speaker)
            usable.append(_Usable(recording, report, part))
        except InvalidAudio as error:
            refusals.append(Refusal(recording.name, error.reason, str(error)))
        on_recording(number)
    return usable, refusals


def _require_all_speakers(usable: Sequence[_Usable], speakers: Sequence[str]) -> None:
    heard = {one.recording.speaker for one in usable}
    mute = [name for number, name in enumerate(speakers) if number not in heard]
    if mute:
        raise InvalidDataset(
            f"no usable speech of {', '.join(mute)}; record more, or remove the folder",
            reason="SpeakerWithoutSpeech",
        )


def _join_held_out(
    usable: Sequence[_Usable], spared: set[str], recipe: Recipe, audio_path: Path, parallel: Parallel
) -> TrainingSet | None:
    parts = [one.part for one in usable if one.recording.name in spared]
    if not parts:
        return None
    if len(parts) == 1:
        parts = [parts[0].first_seconds(HELD_OUT_SECONDS)]
    return join(parts, replace(recipe, silence=None), audio_path, write=parallel.leads)


def _silence(extractor: Extractor) -> NDArray[np.float16]:
    content = extractor.content(np.zeros(SILENT_SECONDS * ANALYSIS_RATE_HERTZ, np.float32))
    return content.astype(np.float16)


def _pitch(
    usable: Sequence[_Usable], speakers: int
) -> tuple[tuple[float, float, float] | None, tuple[float, ...]]:
    """Percentiles of F0 over all speakers, and the median of each."""
    tracks: list[list[NDArray[np.float32]]] = [[] for _ in range(speakers)]
    for one in usable:
        tracks[one.recording.speaker].append(Features.read(one.part.path).f0_hertz)
    joined = [np.concatenate(track) for track in tracks]
    medians = tuple(round(float(np.median(f0[f0 > 0])), 1) if (f0 > 0).any() else 0.0 for f0 in joined)
    return pitch_range(np.concatenate(joined)), medians


def _digest(recordings: Sequence[Recording], extractor: Extractor) -> str:
    """Of the recordings and of how they are prepared."""
    parts = (dataset_digest(recordings), FORMAT, extractor.conventions)
    return f"sha256:{hashlib.sha256('|'.join(map(str, parts)).encode()).hexdigest()}"
