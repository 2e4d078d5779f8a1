"""A voice applied to an analysed recording, tile by tile.

Each tile is synthesized with as much context as the network can see, and the context is thrown away: tiles
join as if there were none. A network that sees everywhere (attention) says slightly different things in
neighbouring tiles, so its tiles overlap and are faded into each other; both sides draw the same noise, which
is a function of position, so that nothing but those differences is faded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from rvc.architectures import FRAMES_PER_ROW, FRAMES_PER_SECOND, Architecture, Synthesizer, Window
from rvc.errors import ArtifactCorrupt
from rvc.retrieval import RetrievalIndex
from rvc.signal import Floats, Moments
from rvc.source import Source
from rvc.voice import Voice

_SYNTHESIZER_PREFIX = "synthesizer."
"""Of the tensors that are the architecture's own; the others are the statistics of the voice."""
_CONTENT_MOMENTS = "content"
_LEVEL_MOMENTS = "level"

MEDIAN_F0 = "medianF0Hertz"
"""Among the statistics of a voice's manifest; tells how far to transpose a source. With a speaker's number
after a dot that speaker's, where there are several."""
INDEX_ROWS = "indexRows"
"""Likewise, with a dot and a speaker's number: how many rows of the index are that speaker's. They follow one
another."""

_PRIOR_CONTENT_ROWS = 100.0
_PRIOR_LEVEL_FRAMES = 100.0
"""A source counts as if it had been so much longer and had there the voice's statistics. A short recording
does not tell enough about its speaker."""
_NO_PROTECTION = 0.5
_NOISE_SEED = 0
"""The same for all conversions: converting again gives the same samples."""


def median_f0_of(statistics: Mapping[str, float], speaker_id: int) -> float | None:
    """How high a speaker of a voice speaks, in Hz: all of them together where it is not told of each, None
    where nothing is told."""
    return statistics.get(f"{MEDIAN_F0}.{speaker_id}") or statistics.get(MEDIAN_F0) or None


def index_rows_of(statistics: Mapping[str, float]) -> dict[int, range]:
    """Rows of the index by speaker; empty where it is not told whose they are."""
    rows: dict[int, range] = {}
    first = 0
    while (count := statistics.get(f"{INDEX_ROWS}.{len(rows)}")) is not None:
        rows[len(rows)] = range(first, first := first + int(count))
    return rows


@dataclass(frozen=True)
class TileSettings:
    """What a person may ask of a conversion, as far as features are concerned."""

    index_rate: float
    """Share of retrieved content, 0 to 1."""
    protect: float
    """Share of it left in unvoiced frames; 0.5 leaves all."""
    speaker_id: int
    formant_ratio: float = 1.0
    """Formants of the sound over the voice's own."""


@dataclass(frozen=True)
class VoiceTiles:
    """A loaded voice."""

    synthesizer: Synthesizer
    index: RetrievalIndex | None
    content_moments: Moments | None
    """None where content is used as the encoder gives it."""
    level_moments: Moments | None
    """None where the architecture does not look at loudness."""
    index_rows: Mapping[int, range] = field(default_factory=dict)
    """Those of the index by speaker, who is pulled towards no other one; all of them for a speaker that is
    missing here."""

    @classmethod
    def load(cls, voice: Voice, architecture: Architecture, device: torch.device) -> VoiceTiles:
        """Raises ArtifactCorrupt where the voice's tensors are not what they should be."""
        tensors = voice.tensors()
        standardizes = architecture.conventions.standardizes_content
        levels = architecture.conventions.levels_speech
        return cls(
            synthesizer=architecture.load(
                synthesizer_tensors(tensors),
                voice.manifest.sample_rate_hertz,
                voice.manifest.hyperparameters,
                device,
            ),
            index=voice.index(),
            content_moments=_moments(tensors, _CONTENT_MOMENTS) if standardizes else None,
            level_moments=_moments(tensors, _LEVEL_MOMENTS) if levels else None,
            index_rows=index_rows_of(voice.manifest.statistics),
        )

    @property
    def sample_rate_hertz(self) -> int:
        """Rate of the sound."""
        return self.synthesizer.sample_rate_hertz

    def synthesize(self, source: Source, settings: TileSettings) -> Iterator[Floats]:
        """The whole recording in the voice, [frames * rate / 100] samples in consecutive blocks."""
        phase = self.synthesizer.excitation_phase(source.f0_hertz, source.voiced)
        hop = self.sample_rate_hertz // FRAMES_PER_SECOND
        begin, end = source.inside.start, source.inside.stop
        faded = np.zeros(0, np.float32)
        for start in range(begin, end, self.synthesizer.tile_frames):
            own_end = min(start + self.synthesizer.tile_frames, end)
            heard_end = min(own_end + self.synthesizer.overlap_frames, end)
            sound = cross_faded(faded, self.tile(source, settings, phase, start, heard_end))
            own = (own_end - start) * hop
            yield sound[:own]
            faded = sound[own:]

    def tile(
        self,
        source: Source,
        settings: TileSettings,
        phase_cycles: NDArray[np.float64],
        start: int,
        end: int,
        place: int = 0,
    ) -> Floats:
        """Sound of the source's frames [start, end), [(end - start) * rate / 100] samples.

        Args:
            source: a recording, or the part of one that begins at its frame `place`.
            settings: what a person asked for.
            phase_cycles: [all frames], of the excitation.
            start: counted in the source's frames, padding included.
            end: likewise.
            place: where noise is drawn, in frames.
        """
        first = max(0, start - self.synthesizer.context_frames)
        last = min(len(phase_cycles), end + self.synthesizer.context_frames)
        window = Window(
            first_frame=place + first,
            content=self.window_content(source, first, last, self.source_moments(source), settings),
            f0_hertz=source.f0_hertz[first:last],
            voiced=source.voiced[first:last],
            phase_cycles=phase_cycles[first:last],
            loudness=self.loudness(source, first, last),
            speaker_id=settings.speaker_id,
            seed=_NOISE_SEED,
            formant_ratio=settings.formant_ratio,
        )
        hop = self.sample_rate_hertz // FRAMES_PER_SECOND
        return self.synthesizer.synthesize(window)[(start - first) * hop : (end - first) * hop]

    def source_moments(self, source: Source) -> Moments | None:
        """What the source's content is standardized by; None where it is used as it is."""
        if self.content_moments is None:
            return None
        return source.content_moments.shrunk(self.content_moments, _PRIOR_CONTENT_ROWS)

    def loudness(self, source: Source, first: int, last: int) -> Floats:
        """Of the frames [first, last), by the source's own mean and the voice's spread."""
        if self.level_moments is None:
            return source.levels[first:last]
        spread = Moments(0, source.level_moments.mean, self.level_moments.deviation)
        level = source.level_moments.shrunk(spread, _PRIOR_LEVEL_FRAMES)
        return level.standardize(source.levels[first:last, None])[:, 0]

    def window_content(
        self, source: Source, first: int, last: int, moments: Moments | None, settings: TileSettings
    ) -> Floats:
        """Content of the frames [first, last), retrieved and protected."""
        # One row more on the right: frames between two rows need both.
        first_row = first // FRAMES_PER_ROW
        last_row = min(len(source.content), -(-last // FRAMES_PER_ROW) + 1)
        rows = source.content[first_row:last_row].astype(np.float32)
        if moments is not None:
            rows = moments.standardize(rows)
        inside = slice(first - first_row * FRAMES_PER_ROW, last - first_row * FRAMES_PER_ROW)
        spoken = self.synthesizer.expand_content(rows)[inside]
        if self.index is None or not settings.index_rate:
            return spoken
        index = self.index.part(self.index_rows.get(settings.speaker_id))
        retrieved = self.synthesizer.expand_content(index.mix(rows, settings.index_rate))[inside]
        if settings.protect >= _NO_PROTECTION:
            return retrieved
        weight = np.where(source.voiced[first:last], 1.0, settings.protect).astype(np.float32)[:, None]
        return weight * retrieved + (1 - weight) * spoken


def cross_faded(old: Floats, new: Floats) -> Floats:
    """`new`, whose beginning is faded in while `old`, as long as it is, is faded out."""
    count = min(len(old), len(new))
    rise = (np.arange(count, dtype=np.float32) + 0.5) / max(count, 1)
    begin = old[:count] + rise * (new[:count] - old[:count])
    return np.concatenate([begin, new[count:]])


def voice_tensors(
    synthesizer: Mapping[str, torch.Tensor], content: Moments | None, levels: Moments | None
) -> dict[str, torch.Tensor]:
    """All tensors of a voice file: the architecture's own and the speaker's statistics."""
    named = {f"{_SYNTHESIZER_PREFIX}{name}": tensor for name, tensor in synthesizer.items()}
    for name, moments in ((_CONTENT_MOMENTS, content), (_LEVEL_MOMENTS, levels)):
        if moments is None:
            continue
        named[f"{name}.count"] = torch.tensor([moments.count], dtype=torch.float32)
        named[f"{name}.mean"] = torch.from_numpy(moments.mean)
        named[f"{name}.deviation"] = torch.from_numpy(moments.deviation)
    return named


def synthesizer_tensors(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Those of a voice file that are the architecture's own, by its names."""
    return {
        name.removeprefix(_SYNTHESIZER_PREFIX): tensor
        for name, tensor in tensors.items()
        if name.startswith(_SYNTHESIZER_PREFIX)
    }


def _moments(tensors: Mapping[str, torch.Tensor], name: str) -> Moments:
    try:
        count, mean, deviation = (tensors[f"{name}.{part}"] for part in ("count", "mean", "deviation"))
    except KeyError as error:
        raise ArtifactCorrupt(f"the voice has no tensor {error}; train the voice again") from error
    return Moments(float(count), mean.numpy(), deviation.numpy())
