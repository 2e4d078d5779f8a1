"""Conversion with `RVC2`, end to end and by stage, against the plain networks in the same pipeline."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from benchmarks.bench import THREADS, Bench, Figure
from rvc.contract import AudioFormat, ConversionParameters, PitchMethod, Precision
from rvc.convert import Converter
from rvc.device import PRECISION_VARIABLE
from rvc.pitch import PitchExtractor
from rvc.rvc2.network import Network
from rvc.rvc2.state import load_state
from rvc.rvc2.synthesizer import RVC2Synthesizer
from rvc.tiles import synthesizer_tensors
from rvc.voice import Voice, open_voice

_CPU = torch.device("cpu")
_SECONDS = 10
_REPEATS = 3
_COMMAND = "make bench ONLY=convert-cpu-rvc2"


def convert_cpu_rvc2(bench: Bench) -> Iterator[Figure]:
    """Seconds for a second of sound at 40 kHz, and those of each stage; then the program with files."""
    voice, base_models = bench.rvc2
    torch.set_num_threads(int(THREADS))
    recording = bench.recording(_SECONDS)
    with patch.dict(os.environ, {PRECISION_VARIABLE: Precision.FP32}):
        plain = Measured(plain_converter(open_voice(voice), base_models), recording, bench.folder)
    ours = Measured(Converter(open_voice(voice), base_models, _CPU), recording, bench.folder)
    for _ in range(_REPEATS):
        for each in (plain, ours):
            each.run()
    for stage, seconds in ours.best.items():
        name = f"convert-cpu-rvc2{stage and '-'}{stage}"
        yield Figure(name, seconds / _SECONDS, "s per s", _COMMAND, plain.best[stage] / _SECONDS)
    short, long = bench.convert_rvc2(10), bench.convert_rvc2(300)
    yield Figure("convert-cpu-rvc2-10s", short.seconds, "s", short.command)
    yield Figure("convert-cpu-rvc2-5min", long.seconds, "s", long.command)
    yield Figure("convert-cpu-rvc2-10s-memory", short.peak_mebibytes, "MiB", short.command)
    yield Figure("convert-cpu-rvc2-5min-memory", long.peak_mebibytes, "MiB", long.command)


def convert_cpu_rvc2_memory(bench: Bench) -> Iterator[Figure]:
    """Peak memory of a 60-minute file beside that of a 10-second one."""
    short, long = bench.convert_rvc2(10), bench.convert_rvc2(3600)
    yield Figure("convert-cpu-rvc2-memory-10s", short.peak_mebibytes, "MiB", short.command)
    yield Figure("convert-cpu-rvc2-memory-60min", long.peak_mebibytes, "MiB", long.command)


class _PlainSynthesizer(RVC2Synthesizer):
    """The network as it is learnt, whole tiles in one pass of the decoder."""

    def __init__(self, voice: Voice) -> None:
        manifest, tensors = voice.manifest, synthesizer_tensors(voice.tensors())
        super().__init__(tensors, manifest.sample_rate_hertz, manifest.hyperparameters, _CPU)
        network = Network(self.geometry)
        load_state(network, tensors)
        self._network = network.eval().requires_grad_(False)
        self._block_frames = self.tile_frames + 2 * self.context_frames


def plain_converter(voice: Voice, base_models: Path) -> Converter:
    """Without what makes the generator fast; precision is the environment's."""
    converter = Converter(voice, base_models, _CPU)
    converter.tiles = replace(converter.tiles, synthesizer=_PlainSynthesizer(voice))
    return converter


class _TimedPitch:
    def __init__(self, extractor: PitchExtractor, hear: Callable[[np.ndarray], np.ndarray]) -> None:
        self.name, self.digest, self._hear = extractor.name, extractor.digest, hear

    def __call__(self, audio: np.ndarray) -> np.ndarray:
        return self._hear(audio)


class Measured:
    """A converter whose stages are timed. `""` is the whole, `rest` what belongs to no network."""

    def __init__(self, converter: Converter, recording: Path, folder: Path) -> None:
        self.best: dict[str, float] = {}
        self._converter, self._recording, self._folder = converter, recording, folder
        self._seconds: Counter[str] = Counter()
        pitch = converter.pitch_extractor(PitchMethod.AUTO)
        timed_pitch = _TimedPitch(pitch, self._timed("pitch", pitch))
        index, synthesizer = converter.tiles.index, converter.tiles.synthesizer
        assert index is not None
        for owner, name, replaced in (
            (converter, "pitch_extractor", lambda method: timed_pitch),
            (converter.encoder, "encode_blocks", self._timed_blocks(converter.encoder.encode_blocks)),
            (index, "mix", self._timed("retrieval", index.mix)),
            (synthesizer, "synthesize", self._timed("synthesis", synthesizer.synthesize)),
        ):
            setattr(owner, name, replaced)

    def run(self) -> None:
        """Convert once more; the fastest run counts, with its stages."""
        self._seconds.clear()
        started = time.perf_counter()
        self._converter.convert(
            self._recording,
            self._folder / "converted.wav",
            ConversionParameters(index_rate_percent=75),
            AudioFormat.WAV,
            self._folder,
        )
        whole = time.perf_counter() - started
        if not self.best or whole < self.best[""]:
            rest = whole - self._seconds.total()
            self.best = {"": whole, **self._seconds, "rest": rest}

    def _timed(self, stage: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            started = time.perf_counter()
            result = call(*arguments)
            self._seconds[stage] += time.perf_counter() - started
            return result

        return run

    def _timed_blocks(self, encode: Callable[[np.ndarray], Iterator[np.ndarray]]) -> Callable[..., Any]:
        def blocks(audio: np.ndarray) -> Iterator[np.ndarray]:
            following = self._timed("content", lambda: next(rows, None))
            rows = encode(audio)
            while (block := following()) is not None:
                yield block

        return blocks
