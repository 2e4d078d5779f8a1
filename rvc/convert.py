"""Convert recordings of any length into a voice.

    1. decode the recording to 16 kHz, in a scratch file          rvc.audio
    2. analyse it as a whole: pitch, voicing, loudness, content   rvc.source
    3. tile by tile: standardize content by the source's own      rvc.tiles
       statistics, retrieve, protect, synthesize
    4. mix the loudness, change the rate, write                   rvc.loudness, rvc.audio

Only step 2 sees the whole file, and what it keeps in memory is a megabyte an hour. The sound does not depend
on how it is cut into tiles, nor on what was converted before, and is exactly as long as the recording.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from rvc.architectures import architecture
from rvc.audio import ANALYSIS_RATE_HERTZ, AudioWriter, SpooledAudio, encodable_rate_hertz
from rvc.audio.resample import resample_blocks
from rvc.content import load_content_encoder
from rvc.contract import AudioFormat, ConversionParameters, PitchMethod
from rvc.device import accelerator_errors
from rvc.errors import InvalidConfiguration, Terminated
from rvc.loudness import mix_loudness, rms_every_half_second
from rvc.pitch import PitchExtractor, load_pitch
from rvc.source import analyse
from rvc.tiles import TileSettings, VoiceTiles
from rvc.voice import Voice

Floats = NDArray[np.float32]

_LOWEST_OUTPUT_HERTZ = 8000
_SOFT_ABOVE = 0.9


@dataclass(frozen=True)
class ConversionReport:
    """What one conversion made."""

    seconds: float
    """Length of the sound."""
    frames: int
    """Samples written, at the rate below."""
    sample_rate_hertz: int
    pitch_method: PitchMethod
    voiced_percent: int
    """Of the recording's frames; 0 means that no pitch was heard, so that all of it came out whispered."""
    median_f0_hertz: float
    """Of the sound, after transposition; 0 if nothing is voiced."""


class Converter:
    """A voice and the networks it needs, loaded once for any number of recordings."""

    def __init__(self, voice: Voice, base_models: Path | None, device: torch.device) -> None:
        """Raises InvalidConfiguration or ArtifactCorrupt when voice, encoder and pitch network do not fit
        together."""
        manifest = voice.manifest
        self._manifest = manifest
        self._base_models = base_models
        self._device = device
        self._encoder = load_content_encoder(manifest.content_encoder.name, base_models, device)
        if manifest.content_encoder.digest not in (None, self._encoder.digest):
            raise InvalidConfiguration(
                f"the voice {manifest.name} was trained with {manifest.content_encoder.name} "
                f"{manifest.content_encoder.digest}, but the base models hold {self._encoder.digest}; "
                "fetch the base models of the release that trained it",
                reason="ContentEncoderMismatch",
            )
        self._tiles = VoiceTiles.load(voice, architecture(manifest.architecture), device)
        self._pitch = {manifest.pitch_method: load_pitch(manifest.pitch_method, base_models, device)}

    @property
    def sample_rate_hertz(self) -> int:
        """The voice's own rate."""
        return self._tiles.sample_rate_hertz

    def convert(
        self,
        input: Path,
        output: Path,
        parameters: ConversionParameters,
        format: AudioFormat,
        scratch: Path,
        *,
        stop: Callable[[], bool] = lambda: False,
        on_progress: Callable[[float], None] = lambda share: None,
    ) -> ConversionReport:
        """Convert the file `input` to the file `output`, which appears whole or not at all.

        Files in the folder `scratch` are removed at the end; they take about 200 kB for each second of the
        recording. `on_progress` is told the finished share, 0 to 1; `stop` is asked before every tile.

        Raises InvalidAudio for a recording that cannot be used, InvalidConfiguration for parameters that the
        voice does not allow, Terminated after `stop`.
        """
        rate = self._output_rate(parameters, format)
        pitch = self._pitch_extractor(parameters.pitch_method)
        self._require_speaker(parameters.speaker_id)
        with (
            accelerator_errors(),
            tempfile.TemporaryDirectory(dir=scratch, prefix="conversion-") as folder,
            SpooledAudio.open(input, Path(folder)) as spool,
        ):
            source = analyse(
                spool,
                Path(folder),
                self._encoder,
                pitch,
                transpose_semitones=parameters.transpose_semitones,
                filter_radius=parameters.filter_radius,
            )
            own_rate = self._tiles.sample_rate_hertz
            sound: Iterable[Floats] = self._tiles.synthesize(source, _tile_settings(parameters))
            sound = _watched(sound, source.frames * own_rate // 100, stop, on_progress)
            sound = exactly(sound, spool.output_frames(own_rate))
            if parameters.rms_mix_rate_percent < 100:
                levelled_rms = rms_every_half_second(source.audio, ANALYSIS_RATE_HERTZ)
                source_rms = source.loudness_gain * levelled_rms
                share = parameters.rms_mix_rate_percent / 100
                sound = mix_loudness(sound, spool.output_frames(own_rate), own_rate, source_rms, share)
            sound = exactly(resample_blocks(sound, own_rate, rate), spool.output_frames(rate))
            with AudioWriter(output, rate, format) as writer:
                for block in sound:
                    writer.write(soft_clipped(block))
        return ConversionReport(
            seconds=writer.frames / rate,
            frames=writer.frames,
            sample_rate_hertz=rate,
            pitch_method=pitch.name,
            voiced_percent=round(100 * float(source.voiced.mean())),
            median_f0_hertz=source.median_f0_hertz,
        )

    def _output_rate(self, parameters: ConversionParameters, audio_format: AudioFormat) -> int:
        wanted = parameters.resample_hertz
        if 0 < wanted < _LOWEST_OUTPUT_HERTZ:
            raise InvalidConfiguration(
                f"resampleHertz {wanted} is too low; use 0 for the voice's own rate, or "
                f"{_LOWEST_OUTPUT_HERTZ} or more"
            )
        return encodable_rate_hertz(audio_format, wanted or self._tiles.sample_rate_hertz)

    def _pitch_extractor(self, method: PitchMethod) -> PitchExtractor:
        method = self._manifest.pitch_method if method == PitchMethod.AUTO else method
        if method not in self._pitch:
            self._pitch[method] = load_pitch(method, self._base_models, self._device)
        return self._pitch[method]

    def _require_speaker(self, speaker_id: int) -> None:
        if speaker_id >= self._manifest.speakers:
            raise InvalidConfiguration(
                f"speakerId {speaker_id} is not in the voice {self._manifest.name}: it has "
                f"{self._manifest.speakers} speaker(s), counted from 0",
                reason="SpeakerNotFound",
            )


def exactly(blocks: Iterable[Floats], samples: int) -> Iterator[Floats]:
    """The blocks, cut or followed by silence so that they hold `samples` in all."""
    left = samples
    for block in blocks:
        yield block[:left]
        left -= len(block[:left])
    yield np.zeros(left, np.float32)


def soft_clipped(block: Floats) -> Floats:
    """Samples beyond 0.9 bent to stay below full scale; the others as they are."""
    beyond = np.abs(block) - _SOFT_ABOVE
    room = 1 - _SOFT_ABOVE
    bent = np.sign(block) * (_SOFT_ABOVE + room * np.tanh(beyond / room))
    return np.where(beyond > 0, bent, block).astype(np.float32)


def _watched(
    blocks: Iterable[Floats], samples: int, stop: Callable[[], bool], on_progress: Callable[[float], None]
) -> Iterator[Floats]:
    done = 0
    for block in blocks:
        if stop():
            raise Terminated("the conversion was stopped; it starts again from the beginning of this file")
        done += len(block)
        on_progress(done / samples)
        yield block


def _tile_settings(parameters: ConversionParameters) -> TileSettings:
    return TileSettings(
        index_rate=parameters.index_rate_percent / 100,
        protect=parameters.protect_percent / 100,
        speaker_id=parameters.speaker_id,
    )
