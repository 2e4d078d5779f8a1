"""Recordings in files of many kinds."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile


def noise(*shape: int) -> np.ndarray:
    return (0.1 * np.random.default_rng(3).normal(size=shape)).astype(np.float32)


def write(path: Path, audio: np.ndarray, rate: int = 48000, **options: str) -> Path:
    soundfile.write(path, audio, rate, **options)
    return path


def write_m4a(path: Path, audio: np.ndarray, rate: int = 44100, title: str = "") -> Path:
    with av.open(str(path), "w") as container:
        container.metadata["title"] = title
        stream = container.add_stream("aac", rate=rate, layout="mono")
        for start in range(0, len(audio), 1024):
            block = np.ascontiguousarray(audio[None, start : start + 1024])
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_wavpack(path: Path, audio: np.ndarray, layout: str, rate: int = 48000) -> Path:
    with av.open(str(path), "w", format="wv") as container:
        stream = container.add_stream("wavpack", rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(audio.reshape(1, -1), format="flt", layout=layout)
        frame.sample_rate = rate
        for planar in av.AudioResampler(format="fltp").resample(frame):
            container.mux(stream.encode(planar))
        container.mux(stream.encode(None))
    return path


def halve(path: Path) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path
