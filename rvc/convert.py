"""Convert recordings of any length into a voice.

    1. decode the recording to 16 kHz, in a scratch file          rvc.audio
    2. analyse it as a whole: pitch, voicing, loudness, content   rvc.source
    3. tile by tile: content as the voice was trained on it,      rvc.tiles
       retrieve, protect, synthesize, fade tiles together
    4. mix the loudness, change the rate, label, write            rvc.loudness, rvc.provenance, rvc.audio

Only step 2 sees the whole file, and what it keeps in memory is a megabyte an hour. The sound has no seams
between tiles, does not depend on what was converted before, and is exactly as long as the recording; an
audible label comes on top.
"""

from __future__ import annotations

import logging
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
from rvc.content import ContentEncoder, load_content_encoder
from rvc.contract import AudioFormat, ConversionParameters, PitchMethod
from rvc.device import accelerator_errors
from rvc.errors import InvalidConfiguration
from rvc.loudness import mix_loudness, rms_every_half_second
from rvc.pitch import PitchExtractor, load_pitch
from rvc.provenance import Provenance, between_notices, implicit_label, produce_id, write_label
from rvc.source import Hearing, Source, Transposition, analyse, go_on_unless
from rvc.tiles import TileSettings, VoiceTiles, median_f0_of
from rvc.voice import Voice, VoiceManifest

log = logging.getLogger(__name__)

Floats = NDArray[np.float32]

_LOWEST_OUTPUT_HERTZ = 8000
_SOFT_ABOVE = 0.9
_CENTS_PER_OCTAVE = 1200


@dataclass(frozen=True)
class ConversionReport:
    """What one conversion made; an audible label does not count."""

    seconds: float
    """Length of the sound."""
    frames: int
    """Its samples, at the rate below."""
    sample_rate_hertz: int
    pitch_method: PitchMethod
    voiced_percent: int
    """Of the recording's frames; 0 means that no pitch was heard, so that all of it came out whispered."""
    median_f0_hertz: float
    """Of the sound, after transposition; 0 if nothing is voiced."""
    transpose_semitones: int
    """By which F0 was moved, automatic transposition included."""


class Converter:
    """A voice and the networks it needs, loaded once for any number of recordings."""

    def __init__(
        self,
        voice: Voice,
        base_models: Path | None,
        device: torch.device,
        encoder: ContentEncoder | None = None,
    ) -> None:
        """`encoder` is the voice's where it is loaded already. Raises InvalidConfiguration or ArtifactCorrupt
        when voice, encoder, index and pitch network do not fit together."""
        manifest = voice.manifest
        self._manifest = manifest
        self._digest = voice.digest
        self._base_models = base_models
        self._device = device
        chosen = architecture(manifest.architecture)
        self._conventions = chosen.conventions
        self.tiles = VoiceTiles.load(voice, chosen, device)
        self.encoder = encoder or load_content_encoder(manifest.content_encoder.name, base_models, device)
        _require_fit(manifest, self.encoder.digest, self.encoder.dimension, self.tiles)
        self._pitch: dict[PitchMethod, PitchExtractor] = {}
        self.pitch_extractor(PitchMethod.AUTO)

    @property
    def sample_rate_hertz(self) -> int:
        """The voice's own rate."""
        return self.tiles.sample_rate_hertz

    def convert(
        self,
        input: Path,
        output: Path,
        parameters: ConversionParameters,
        format: AudioFormat,
        scratch: Path,
        *,
        name: str = "",
        provenance: Provenance | None = None,
        stop: Callable[[], bool] = lambda: False,
        on_progress: Callable[[float], None] = lambda share: None,
    ) -> ConversionReport:
        """Convert the file `input` to the file `output`, which appears whole or not at all.

        Messages call the recording `name`, or as its file is called. The output is labelled as `provenance`
        says. Files in the folder `scratch` are removed at the end; they take about 200 kB for each second of
        the recording. `on_progress` is told the finished share, 0 to 1; `stop` is asked during the analysis
        and before every tile.

        Raises InvalidAudio for a recording that cannot be used, InvalidConfiguration for parameters that the
        voice does not allow, StoreUnavailable where the disk does not take the output, Terminated after
        `stop`.
        """
        rate = self._output_rate(parameters, format)
        pitch = self.pitch_extractor(parameters.pitch_method)
        hearing = self.hearing(parameters, pitch)
        said = provenance or Provenance()
        with (
            accelerator_errors(),
            tempfile.TemporaryDirectory(dir=scratch, prefix="conversion-") as folder,
            SpooledAudio.open(input, Path(folder), name) as spool,
        ):
            source = analyse(spool, Path(folder), self.encoder, pitch, hearing, stop=stop)
            own_rate = self.sample_rate_hertz
            samples = spool.output_frames(own_rate)
            sound: Iterable[Floats] = self.tiles.synthesize(source, tile_settings(parameters))
            sound = _watched(sound, source.frames * own_rate // 100, stop, on_progress)
            mix_rate = rms_mix_rate_percent(parameters, hearing)
            sound = with_loudness_of(source, exactly(sound, samples), samples, own_rate, mix_rate)
            frames = spool.output_frames(rate)
            sound = map(soft_clipped, exactly(resample_blocks(sound, own_rate, rate), frames))
            identity = produce_id(said.origin, name or input.name, self._digest)
            label = implicit_label(said.producer, identity)
            with AudioWriter(
                output, rate, format, lambda path: write_label(path, format, label), name or input.name
            ) as writer:
                for block in between_notices(sound, said, rate):
                    writer.write(block)
        return ConversionReport(
            seconds=frames / rate,
            frames=frames,
            sample_rate_hertz=rate,
            pitch_method=pitch.name,
            voiced_percent=source.voiced_percent,
            median_f0_hertz=source.median_f0_hertz,
            transpose_semitones=source.semitones,
        )

    def hearing(self, parameters: ConversionParameters, pitch: PitchExtractor) -> Hearing:
        """How recordings are to be analysed for this voice. Raises InvalidConfiguration for a speaker that it
        does not have, and for automatic transposition to a pitch that it does not tell."""
        self._require_speaker(parameters.speaker_id)
        filters = self._conventions.gates_f0 or pitch.name == PitchMethod.HARVEST
        return Hearing(
            conventions=self._conventions,
            padding_frames=self.tiles.synthesizer.padding_frames,
            transposition=Transposition(
                parameters.transpose_semitones,
                self._own_median_hertz(parameters.speaker_id) if parameters.automatic_transpose else None,
            ),
            # Voices that take F0 as it comes were not trained on a filtered one; harvest alone needs it.
            filter_radius=parameters.filter_radius if filters else 0,
        )

    def pitch_extractor(self, method: PitchMethod) -> PitchExtractor:
        """The extractor of that name, `Auto` being the voice's own, loaded once. A voice from elsewhere makes
        do with the best one that there is if its own is not; else that raises InvalidConfiguration."""
        if method not in self._pitch:
            self._pitch[method] = found = self._load_pitch(method)
            self._pitch.setdefault(found.name, found)
        return self._pitch[method]

    def _load_pitch(self, method: PitchMethod) -> PitchExtractor:
        own = self._manifest.pitch_method
        try:
            return load_pitch(own if method == PitchMethod.AUTO else method, self._base_models, self._device)
        except InvalidConfiguration as error:
            if method != PitchMethod.AUTO or self._manifest.parameters is not None:
                raise
            found = load_pitch(PitchMethod.AUTO, self._base_models, self._device)
            log.warning("%s uses the pitch method %s: %s", self._manifest.name, found.name, error)
            return found

    def _own_median_hertz(self, speaker_id: int) -> float:
        if median := median_f0_of(self._manifest.statistics, speaker_id):
            return median
        raise InvalidConfiguration(
            f"automaticTranspose needs to know how high the voice {self._manifest.name} speaks, and it does "
            "not tell; set transposeSemitones instead (12 from a usual man's voice to a usual woman's)",
            reason="VoicePitchUnknown",
        )

    def _output_rate(self, parameters: ConversionParameters, audio_format: AudioFormat) -> int:
        wanted = parameters.resample_hertz
        if 0 < wanted < _LOWEST_OUTPUT_HERTZ:
            raise InvalidConfiguration(
                f"resampleHertz {wanted} is too low; use 0 for the voice's own rate, or "
                f"{_LOWEST_OUTPUT_HERTZ} or more"
            )
        return encodable_rate_hertz(audio_format, wanted or self.sample_rate_hertz)

    def _require_speaker(self, speaker_id: int) -> None:
        speakers = min(self._manifest.speakers, self.tiles.synthesizer.speakers)
        if speaker_id >= speakers:
            raise InvalidConfiguration(
                f"speakerId {speaker_id} is not in the voice {self._manifest.name}: it has {speakers} "
                "speaker(s), counted from 0",
                reason="SpeakerNotFound",
            )


def rms_mix_rate_percent(parameters: ConversionParameters, hearing: Hearing) -> int:
    """How much of the voice's own loudness is kept: what is asked for, or what suits the architecture."""
    asked = parameters.rms_mix_rate_percent
    return hearing.conventions.rms_mix_rate_percent if asked is None else asked


def with_loudness_of(
    source: Source, sound: Iterable[Floats], samples: int, rate: int, mix_rate_percent: int
) -> Iterable[Floats]:
    """The sound (`samples` at `rate`), its loudness mixed with the recording's: 100 is all its own."""
    if mix_rate_percent == 100:
        return sound
    source_rms = source.loudness_gain * rms_every_half_second(source.recording, ANALYSIS_RATE_HERTZ)
    return mix_loudness(sound, samples, rate, source_rms, mix_rate_percent / 100)


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
        go_on_unless(stop)
        done += len(block)
        on_progress(done / samples)
        yield block


def tile_settings(parameters: ConversionParameters) -> TileSettings:
    """What the parameters say about features."""
    return TileSettings(
        index_rate=parameters.index_rate_percent / 100,
        protect=parameters.protect_percent / 100,
        speaker_id=parameters.speaker_id,
        formant_ratio=2 ** (parameters.formant_shift_cents / _CENTS_PER_OCTAVE),
    )


def _require_fit(manifest: VoiceManifest, digest: str, dimension: int, tiles: VoiceTiles) -> None:
    """Raise InvalidConfiguration where the encoder or the index is not the voice's."""
    wanted = manifest.content_encoder
    if wanted.digest not in (None, digest):
        raise InvalidConfiguration(
            f"the voice {manifest.name} was trained with {wanted.name} {wanted.digest}, but the base models "
            f"hold {digest}; fetch the base models of the release that trained it",
            reason="ContentEncoderMismatch",
        )
    if tiles.synthesizer.content_dimension != dimension:
        raise InvalidConfiguration(
            f"the voice {manifest.name} speaks from content {tiles.synthesizer.content_dimension} wide, and "
            f"{wanted.name} gives {dimension}; import the voice with the encoder that it was trained with",
            reason="ContentEncoderMismatch",
        )
    if tiles.index is not None and tiles.index.dimension != dimension:
        raise InvalidConfiguration(
            f"the index of the voice {manifest.name} holds rows {tiles.index.dimension} wide, its content is "
            f"{dimension} wide; leave the index out or use the one that belongs to the voice",
            reason="IndexMismatch",
        )
