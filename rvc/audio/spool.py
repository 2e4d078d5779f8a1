"""A recording of any length in bounded memory: decoded once to a temporary file of 16 kHz samples, mapped."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import TracebackType

import numpy as np

from rvc.audio.read import open_audio
from rvc.audio.resample import MeasuredBlocks, output_frames, resample_blocks

ANALYSIS_RATE_HERTZ = 16000
"""Pitch and content networks hear at this rate."""


class SpooledAudio:
    """A decoded recording at the analysis rate; a context manager that removes its temporary file."""

    samples: np.ndarray
    """Mono float32 [samples], mapped from disk."""
    source_frames: int
    source_rate_hertz: int

    def __init__(self, samples: np.ndarray, source_frames: int, source_rate_hertz: int, file: Path) -> None:
        self.samples = samples
        self.source_frames = source_frames
        self.source_rate_hertz = source_rate_hertz
        self._file = file

    @classmethod
    def open(cls, path: Path, scratch: Path, name: str = "") -> SpooledAudio:
        """Decode `path` into a new file in the folder `scratch` (four bytes a sample: 230 MB an hour).

        Messages call the recording `name`, or as its file is called.
        Raises as `rvc.audio.load_audio` does; then nothing is left in `scratch`.
        """
        with tempfile.NamedTemporaryFile(dir=scratch, prefix="spool-", suffix=".f32", delete=False) as file:
            spool = Path(file.name)
            try:
                with open_audio(path, name) as reader:
                    source = MeasuredBlocks(reader.blocks())
                    for block in resample_blocks(source, reader.sample_rate_hertz, ANALYSIS_RATE_HERTZ):
                        file.write(block.tobytes())
                source.require_sound(reader.name, ANALYSIS_RATE_HERTZ, file.tell() // 4)
            except BaseException:
                spool.unlink()
                raise
        samples = np.memmap(spool, dtype=np.float32, mode="r")
        return cls(samples, source.frames, reader.sample_rate_hertz, spool)

    def output_frames(self, sample_rate_hertz: int) -> int:
        """Exact length of this recording at another rate; see `rvc.audio.output_frames`."""
        return output_frames(self.source_frames, self.source_rate_hertz, sample_rate_hertz)

    def close(self) -> None:
        """Remove the temporary file."""
        self._file.unlink(missing_ok=True)

    def __enter__(self) -> SpooledAudio:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
