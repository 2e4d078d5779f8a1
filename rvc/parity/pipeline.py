"""The original's conversion as a whole, and what it hands to the synthesizer.

The original was run with a stand-in for HuBERT, without noise, and with Praat's pitch. Ours is put together
from the parts that conversion uses, cut where the original cuts and given the F0 that it fills in; where we
mean to differ is said.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from rvc.architectures import Conventions, Synthesizer, Window
from rvc.audio import ANALYSIS_RATE_HERTZ, SpooledAudio
from rvc.audio.resample import resample_blocks
from rvc.contract import ContentEncoder as ContentEncoderName
from rvc.convert import exactly
from rvc.errors import InvalidConfiguration
from rvc.loudness import mix_loudness, rms_every_half_second
from rvc.parity.fill import symmetric
from rvc.parity.findings import Deviation, Finding, absolute, equal, relative
from rvc.parity.synthesizers import Arrays, arrays_of
from rvc.pitch.praat import Praat
from rvc.pitch.quantise import pitch_bins
from rvc.retrieval import RetrievalIndex
from rvc.rvc2.geometry import Geometry
from rvc.rvc2.layers import fold_weight_norm
from rvc.rvc2.network import Features, Network
from rvc.rvc2.state import load_state
from rvc.signal import ANALYSIS_HOP, Floats, Moments
from rvc.source import Hearing, Source, Transposition, analyse
from rvc.tiles import TileSettings, VoiceTiles

_FEATURE_TOLERANCE = 1e-4
_COUNTS_TOLERANCE = 4.0
_HALF_PRECISION = 2.0**-11
"""Relative rounding error of arrays that are stored as float16."""
_CONTENT_WINDOW, _CONTENT_HOP = 400, 320
_SPEAKER = 2
"""Of all pipeline fixtures; not in the files."""
_WHOLE = 1 << 30
_LOWEST_VOICED_HERTZ = 1.0
_SAMPLE_RATES_HERTZ = (32000, 40000, 48000)
_RVC2 = Conventions(standardizes_content=False, levels_speech=False, gates_f0=False)


def check_features(path: Path) -> Iterable[Finding | Deviation]:
    """`vc_features.npz`: content after retrieval and protection, as the synthesizer gets it."""
    arrays = arrays_of(path)
    for name in sorted(name.removeprefix("phone_") for name in arrays if name.startswith("phone_")):
        theirs = arrays[f"phone_{name}"]
        rate, protect, uses_index = (float(value) for value in arrays[f"params_{name}"])
        rows = _stand_in_content(arrays["wave"], theirs.shape[1])
        tiles = _tiles(_Repeating(), index_beside(path, theirs.shape[1]) if uses_index else None)
        source = _source(rows, arrays["pitchf"][0, : 2 * len(rows)], np.zeros(0, np.float32), 0)
        settings = TileSettings(rate, protect, speaker_id=0)
        ours = tiles.window_content(source, 0, len(theirs), None, settings)
        yield equal(f"L_{name}", [2 * len(rows)], arrays[f"L_{name}"])
        yield _stored_features(f"phone_{name}", ours, theirs)


@torch.inference_mode()
def check_pipeline(path: Path) -> Iterable[Finding | Deviation]:
    """`pipeline.npz`: recordings to int16 sound."""
    arrays = arrays_of(path)
    network = _pipeline_network(path, arrays)
    recording = (arrays["wave_i16"] / 32768).astype(np.float32)
    for name in sorted(name.removeprefix("out_") for name in arrays if name.startswith("out_")):
        case = _Case.of(arrays, name)
        heard = _heard(recording, case)
        yield from _check_hearing(heard, case, name, arrays)
        f0 = _filled_by_the_original(arrays, case) * 2 ** (case.semitones / 12)
        cuts = arrays["split_points"] if case.is_split(len(recording)) else np.zeros(0, np.int64)
        pieces = [
            piece
            for chunk in _chunks(heard.audio, cuts, case.padding_samples)
            for piece in _spoken(network, chunk, f0.astype(np.float32), case, path)
        ]
        ours = _finished(np.concatenate(pieces), heard, case, network.geometry.sample_rate_hertz)
        yield absolute(f"out_{name}", ours, arrays[f"out_{name}"], _COUNTS_TOLERANCE)
    yield from _DEVIATIONS


_DEVIATIONS = (
    Deviation(
        "length",
        "the original loses one or two rows of content at every end and cut; ours gives every sample",
    ),
    Deviation(
        "joins",
        "the original joins its chunks hard at quiet places; our tiles are short, overlap and are faded",
    ),
    Deviation(
        "F0 of unvoiced frames",
        "the original fills gaps, so that `protect` has no effect and no noise is heard; ours stays 0 Hz, as "
        "voices were trained",
    ),
    Deviation(
        "full scale",
        "the original turns a whole file down; ours bends what is above 0.9 and needs no second pass",
    ),
)


@dataclass(frozen=True)
class _Case:
    """The parameters of one run of the original's pipeline."""

    padding_samples: int
    longest_samples: int
    index_rate: float
    mix_rate: float
    resample_hertz: int
    protect: float
    semitones: float

    @classmethod
    def of(cls, arrays: Arrays, name: str) -> _Case:
        pad, _, _, longest, index_rate, mix_rate, resample, protect, key = arrays[f"params_{name}"]
        rate = ANALYSIS_RATE_HERTZ
        return cls(
            int(pad * rate),
            int(longest * rate),
            float(index_rate),
            float(mix_rate),
            int(resample),
            float(protect),
            float(key),
        )

    def is_split(self, samples: int) -> bool:
        """Whether the original cuts a recording; it compares after adding a frame."""
        return samples + ANALYSIS_HOP > self.longest_samples


class _Repeating:
    """As much of a synthesizer as content needs."""

    def expand_content(self, rows: Floats) -> Floats:
        return rows.repeat(2, axis=0)


@dataclass(frozen=True)
class _Noiseless(_Repeating):
    """The generator without noise, on windows of any length."""

    network: Network
    tile_frames = context_frames = _WHOLE
    overlap_frames = 0

    @property
    def sample_rate_hertz(self) -> int:
        return self.network.geometry.sample_rate_hertz

    def excitation_phase(self, f0_hertz: Floats, voiced: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.zeros(len(f0_hertz))

    def synthesize(self, window: Window) -> Floats:
        f0 = np.where(window.voiced, window.f0_hertz, np.float32(0))
        features = Features(
            content=torch.from_numpy(np.ascontiguousarray(window.content))[None],
            lengths=torch.tensor([len(f0)]),
            speaker=torch.tensor([window.speaker_id]),
            pitch=torch.from_numpy(pitch_bins(f0))[None],
            f0_hertz=torch.from_numpy(f0)[None],
        )
        return np.asarray(self.network.infer(features)[0, 0].numpy())


class _StandInEncoder:
    """The fixtures' stand-in for HuBERT, for recordings that only their pitch is wanted of."""

    name = ContentEncoderName.AUTO
    dimension = 1
    digest = ""

    def encode_blocks(self, audio: NDArray[Any]) -> Iterator[NDArray[Any]]:
        return iter(())


@dataclass(frozen=True)
class _Chunk:
    """What the original converts at once."""

    audio: Floats
    first_frame: int


def _stand_in_content(audio: NDArray[Any], dimension: int) -> Floats:
    """Rows as HuBERT has them, [rows, dimension]; the original loses what the last windows do not reach."""
    weights = 0.6 * symmetric(f"fakehubert{dimension}", (_CONTENT_WINDOW, dimension))
    windows = np.lib.stride_tricks.sliding_window_view(audio, _CONTENT_WINDOW)[::_CONTENT_HOP]
    return np.tanh(windows.astype(np.float32) @ weights.astype(np.float32))


def _chunks(padded: Floats, cuts: NDArray[np.int64], padding: int) -> Iterator[_Chunk]:
    start = 0
    for cut in cuts // ANALYSIS_HOP * ANALYSIS_HOP:
        yield _Chunk(padded[start : cut + 2 * padding + ANALYSIS_HOP], start // ANALYSIS_HOP)
        start = int(cut)
    yield _Chunk(padded[start:], start // ANALYSIS_HOP)


def _spoken(network: Network, chunk: _Chunk, f0: Floats, case: _Case, path: Path) -> Iterable[Floats]:
    dimension = network.geometry.content_dimension
    rows = _stand_in_content(chunk.audio, dimension)
    frames = min(2 * len(rows), len(chunk.audio) // ANALYSIS_HOP)
    track = f0[chunk.first_frame : chunk.first_frame + frames]
    source = _source(rows[: -(-len(track) // 2)], track, chunk.audio, case.padding_samples // ANALYSIS_HOP)
    index = index_beside(path, dimension) if case.index_rate else None
    settings = TileSettings(case.index_rate, case.protect, speaker_id=_SPEAKER)
    return _tiles(_Noiseless(network), index).synthesize(source, settings)


def _finished(sound: Floats, heard: Source, case: _Case, rate: int) -> NDArray[np.int16]:
    """Loudness, rate and full scale as in the original."""
    samples = len(sound)
    if case.mix_rate != 1:
        source_rms = rms_every_half_second(heard.recording, ANALYSIS_RATE_HERTZ)
        mixed = mix_loudness(iter([sound]), samples, rate, source_rms, case.mix_rate)
        sound = np.concatenate(list(mixed))
    if case.resample_hertz >= ANALYSIS_RATE_HERTZ and case.resample_hertz != rate:
        resampled = resample_blocks([sound], rate, case.resample_hertz)
        length = -(-samples * case.resample_hertz // rate)
        sound = np.concatenate(list(exactly(resampled, length)))
    scale = 32768 / max(1.0, float(np.abs(sound).max()) / 0.99)
    return (sound * scale).astype(np.int16)


def _heard(recording: Floats, case: _Case) -> Source:
    hearing = Hearing(_RVC2, case.padding_samples // ANALYSIS_HOP, Transposition(0), filter_radius=0)
    with tempfile.TemporaryDirectory() as folder:
        spool = SpooledAudio(recording, len(recording), ANALYSIS_RATE_HERTZ, Path(folder) / "none")
        source = analyse(spool, Path(folder), cast(Any, _StandInEncoder()), Praat(), hearing)
        return replace(source, audio=np.array(source.audio))


def _filled(heard: Source) -> NDArray[np.float64]:
    """F0 with straight lines over what is unvoiced, as the original has it."""
    voiced = np.flatnonzero(heard.voiced)
    return np.interp(np.arange(len(heard.voiced)), voiced, heard.f0_hertz[voiced].astype(np.float64))


def _filled_by_the_original(arrays: Arrays, case: _Case) -> NDArray[np.float64]:
    """Its own track, not transposed: in ten seconds the last bits of ours would turn the sine too far."""
    for name in (name.removeprefix("f0_") for name in arrays if name.startswith("f0_")):
        other = _Case.of(arrays, name)
        if other.padding_samples == case.padding_samples:
            return np.asarray(arrays[f"f0_{name}"] / 2 ** (other.semitones / 12))
    raise InvalidConfiguration("the fixture holds no F0 of a run with this padding; make it again")


def _check_hearing(heard: Source, case: _Case, name: str, arrays: Arrays) -> Iterable[Finding | Deviation]:
    """Where the fixture holds what the original heard in this run; the filter, in the run that was cut."""
    if f"f0_{name}" not in arrays:
        return
    kept = arrays["highpassed_f32"]
    every = -(-heard.samples // len(kept))
    yield absolute("highpassed", heard.recording[::every], kept, _FEATURE_TOLERANCE)
    theirs = arrays[f"f0_{name}"]
    f0 = _filled(heard) * 2 ** (case.semitones / 12)
    yield relative(f"f0_{name}, filled", f0[: len(theirs)], theirs, _FEATURE_TOLERANCE)
    yield equal(f"coarse_{name}", pitch_bins(f0[: len(theirs)]), arrays[f"coarse_{name}"])


def _source(rows: Floats, f0_hertz: Floats, audio: Floats, padding_frames: int) -> Source:
    """A source that was analysed by the original."""
    nothing = Moments(0, np.zeros(1, np.float32), np.ones(1, np.float32))
    frames = len(f0_hertz)
    return Source(
        frames=frames - 2 * padding_frames,
        padding_frames=padding_frames,
        samples=len(audio),
        audio=audio,
        loudness_gain=1.0,
        f0_hertz=f0_hertz,
        voiced=f0_hertz >= _LOWEST_VOICED_HERTZ,
        semitones=0,
        levels=np.zeros(frames, np.float32),
        level_moments=nothing,
        content=rows,
        content_moments=nothing,
    )


def _tiles(synthesizer: _Repeating, index: RetrievalIndex | None) -> VoiceTiles:
    return VoiceTiles(cast(Synthesizer, synthesizer), index, content_moments=None, level_moments=None)


def _pipeline_network(path: Path, arrays: Arrays) -> Network:
    """The first pitch-guided model at the rate of the outputs for whose content there is an index."""
    rate = _output_rate(arrays)
    widths = {RetrievalIndex.load(index).dimension for index in path.parent.glob("*.index")}
    for file in sorted((path.parent.parent / "models").glob("*.pth")):
        stored = torch.load(file, map_location="cpu", weights_only=True)
        geometry = Geometry.from_config(stored["config"], stored["version"], bool(stored["f0"]))
        if geometry.f0 and geometry.sample_rate_hertz == rate and geometry.content_dimension in widths:
            network = Network(geometry)
            load_state(network, stored["weight"], file.name)
            fold_weight_norm(network)
            return network.eval()
    raise InvalidConfiguration(f"no pitch-guided model at {rate} Hz lies in the folder models beside {path}")


def _output_rate(arrays: Arrays) -> int:
    """The rate at which the outputs that were not resampled are nearly as long as the recording."""
    name = next(name for name in sorted(arrays) if name.startswith("params_") and not arrays[name][6])
    samples = len(arrays[name.replace("params_", "out_")])
    rate = samples * ANALYSIS_RATE_HERTZ / len(arrays["wave_i16"])
    return min(_SAMPLE_RATES_HERTZ, key=lambda known: abs(known - rate))


def _stored_features(name: str, ours: Floats, theirs: NDArray[Any]) -> Finding:
    """Where the original's are stored as float16, less what that rounds."""
    rounding = np.abs(theirs.astype(np.float64)) * _HALF_PRECISION if theirs.dtype == np.float16 else 0.0
    excess = np.maximum(np.abs(ours.astype(np.float64) - theirs) - rounding, 0)
    return Finding(name, float(excess.max(initial=0.0)), _FEATURE_TOLERANCE)


def index_beside(path: Path, dimension: int, rows: int | None = None) -> RetrievalIndex:
    """The first index of rows of that width (and so many) in the folder of a fixture."""
    for candidate in sorted(path.parent.glob("*.index")):
        index = RetrievalIndex.load(candidate)
        if index.dimension == dimension and rows in (None, index.rows):
            return index
    raise InvalidConfiguration(f"no index of rows {dimension} wide lies beside {path}")
