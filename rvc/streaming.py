"""Convert a recording while it is being made.

    pushed samples -> 16 kHz -> a chunk with what is around it -> tile -> faded into the chunk before it

Every chunk is heard anew together with the seconds before it and a look-ahead after it, by the same networks
and rules as a whole file.

The delay is exact and has nothing to do with the machine: when `n` frames of a hundredth of a second were
pushed, all but the last `latency_frames` of them have been given out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import soxr

from rvc.architectures import FRAMES_PER_ROW, FRAMES_PER_SECOND
from rvc.audio import ANALYSIS_RATE_HERTZ, output_frames
from rvc.contract import ConversionParameters
from rvc.convert import Converter, rms_mix_rate_percent, soft_clipped, tile_settings
from rvc.errors import InvalidAudio, InvalidConfiguration
from rvc.listening import Listener, SpeakerStatistics
from rvc.signal import ANALYSIS_HOP, Floats
from rvc.source import Source
from rvc.tiles import cross_faded

_RESAMPLING_FRAMES = 12
"""What the resampler may hold back, at any rate of 8 kHz or more."""
_LOWEST_RATE_HERTZ = 8000
_QUIETEST_RMS = 1e-6


@dataclass(frozen=True)
class StreamSettings:
    """How much is heard and given out at once, in frames; all even."""

    chunk_frames: int = 50
    look_ahead_frames: int = 20
    """Heard beyond a chunk. What the networks would like to hear further on is missing to them."""
    past_frames: int = 300
    """Heard before a chunk."""
    fade_frames: int = 4
    """In which a chunk is faded into the next one; within the look-ahead."""

    def __post_init__(self) -> None:
        counts = (self.chunk_frames, self.look_ahead_frames, self.past_frames, self.fade_frames)
        fits = self.fade_frames <= min(self.chunk_frames, self.look_ahead_frames) and self.chunk_frames > 0
        if not fits or any(count % FRAMES_PER_ROW or count < 0 for count in counts):
            raise InvalidConfiguration(
                f"{self} cannot be streamed; give even numbers of frames, a chunk above 0, and a fade no "
                "longer than chunk and look-ahead"
            )


class VoiceStream:
    """One recording, pushed in pieces of any length; belongs to one thread. Memory and the cost of a chunk
    are bounded."""

    def __init__(
        self,
        converter: Converter,
        parameters: ConversionParameters,
        sample_rate_hertz: int = ANALYSIS_RATE_HERTZ,
        settings: StreamSettings | None = None,
        statistics: SpeakerStatistics | None = None,
    ) -> None:
        """A stream of samples at `sample_rate_hertz`, converted as the parameters say, but at the voice's own
        rate. Raises InvalidConfiguration as a conversion does, and for a rate too low for speech."""
        if sample_rate_hertz < _LOWEST_RATE_HERTZ:
            raise InvalidConfiguration(
                f"a stream at {sample_rate_hertz} Hz holds no speech; record at {_LOWEST_RATE_HERTZ} Hz or "
                "more"
            )
        pitch = converter.pitch_extractor(parameters.pitch_method)
        hearing = converter.hearing(parameters, pitch)
        self._settings = settings or StreamSettings()
        self._tiles = converter.tiles
        self._listener = Listener(converter.encoder, pitch, hearing, statistics)
        self._padding_frames = hearing.padding_frames
        self._tile_settings = tile_settings(parameters)
        mix_rate = rms_mix_rate_percent(parameters, hearing)
        self._loudness = _TrailingLoudness(mix_rate / 100, self.sample_rate_hertz)
        self._rate = sample_rate_hertz
        self._resampler = None
        if sample_rate_hertz != ANALYSIS_RATE_HERTZ:
            self._resampler = soxr.ResampleStream(sample_rate_hertz, ANALYSIS_RATE_HERTZ, 1, dtype="float32")
        self._pushed = 0
        self._next_frame = 0
        self._phase = 0.0
        self._tail = np.zeros(0, np.float32)

    @property
    def latency_frames(self) -> int:
        """Frames, of those that were pushed, that may not have been given out yet."""
        waits = 0 if self._resampler is None else _RESAMPLING_FRAMES
        return self._settings.chunk_frames + self._settings.look_ahead_frames + waits

    @property
    def sample_rate_hertz(self) -> int:
        """Of the sound."""
        return self._tiles.sample_rate_hertz

    def push(self, samples: Floats) -> Floats:
        """Take in mono float32 samples, give out the sound that is ready, perhaps none.

        Raises InvalidAudio for samples that are not numbers.
        """
        if not np.isfinite(samples).all():
            raise InvalidAudio(
                "the stream holds samples that are not finite numbers; check the recording program",
                reason="AudioNotFinite",
            )
        self._pushed += len(samples)
        self._listener.push(samples if self._resampler is None else self._resampler.resample_chunk(samples))
        heard = self._listener.samples // ANALYSIS_HOP
        ahead = self._settings.look_ahead_frames
        ready = [np.zeros(0, np.float32)]
        while (end := self._next_frame + self._settings.chunk_frames) + ahead <= heard:
            ready.append(self._chunk(end, end + ahead))
        return np.concatenate(ready)

    def finish(self) -> Floats:
        """The sound that is left; all of it together is exactly as long as what was pushed."""
        if self._resampler is not None:
            self._listener.push(self._resampler.resample_chunk(np.zeros(0, np.float32), last=True))
        hop = self.sample_rate_hertz // FRAMES_PER_SECOND
        missing = output_frames(self._pushed, self._rate, self.sample_rate_hertz) - self._next_frame * hop
        frames = -(-self._listener.samples // ANALYSIS_HOP)
        frames += frames % FRAMES_PER_ROW
        ready = [np.zeros(0, np.float32)]
        while self._next_frame < frames:
            end = min(self._next_frame + self._settings.chunk_frames, frames)
            ahead = max(self._settings.look_ahead_frames, self._padding_frames)
            ready.append(self._chunk(end, min(end + ahead, frames + self._padding_frames)))
        rest = np.concatenate(ready)[:missing]
        return np.pad(rest, (0, missing - len(rest)))

    def _chunk(self, end: int, heard_end: int) -> Floats:
        """Sound of the frames from the next one to `end`; what is heard goes on to `heard_end`."""
        start = self._next_frame
        first = max(start - self._settings.past_frames, -self._padding_frames)
        source = self._listener.analyse(first, heard_end)
        here, there = start - first, end - first
        phase = self._tiles.synthesizer.excitation_phase(source.f0_hertz, source.voiced)
        if start:
            phase = (phase + self._phase - phase[here]) % 1.0
        self._phase = float(phase[min(there, len(phase) - 1)])
        faded_end = min(there + self._settings.fade_frames, len(phase))
        place = first + self._padding_frames
        sound = self._tiles.tile(source, self._tile_settings, phase, here, faded_end, place)
        sound = cross_faded(self._tail, sound)
        own = (end - start) * self.sample_rate_hertz // FRAMES_PER_SECOND
        self._tail = sound[own:]
        self._next_frame = end
        self._listener.forget(end - self._settings.past_frames)
        return soft_clipped(self._loudness.mixed(sound[:own], source, there))


class _TrailingLoudness:
    """Loudness mixed as for files, but by the second that has gone by."""

    def __init__(self, mix_rate: float, sample_rate_hertz: int) -> None:
        self._mix_rate = mix_rate
        self._rate = sample_rate_hertz
        self._recent = np.zeros(0, np.float32)
        self._factor: float | None = None

    def mixed(self, sound: Floats, source: Source, end_frame: int) -> Floats:
        """The next sound, that of the source's frames up to `end_frame`, in a straight line from the factor
        before it to its own."""
        if self._mix_rate == 1:
            return sound
        self._recent = np.concatenate([self._recent, sound])[-self._rate :]
        frames = len(self._recent) * FRAMES_PER_SECOND // self._rate
        spoken = source.audio[max(0, end_frame - frames) * ANALYSIS_HOP : end_frame * ANALYSIS_HOP]
        theirs, ours = source.loudness_gain * _rms(spoken), max(_rms(self._recent), _QUIETEST_RMS)
        factor = (theirs / ours) ** (1 - self._mix_rate)
        before = factor if self._factor is None else self._factor
        self._factor = factor
        line = np.linspace(before, factor, len(sound), endpoint=False)
        return np.asarray(sound * line, np.float32)


def _rms(samples: Floats) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if len(samples) else 0.0
