"""A small dataset: three recordings of a made-up voice, and three files that cannot be used."""

from pathlib import Path

import numpy as np
import soundfile

from tests.fixtures.sounds import voice_like


def write_recordings(folder: Path, seconds: float = 5.0) -> Path:
    """Three usable files, one of them in a subfolder, at different rates."""
    for name, f0, rate in (("a.wav", 160.0, 16000), ("b.flac", 200.0, 22050), ("more/c.wav", 240.0, 44100)):
        samples = round(seconds * rate)
        glide = f0 * (1 + 0.1 * np.sin(np.arange(samples) / rate * 3))
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, voice_like(seconds, glide, rate), rate)
    return folder


def write_bad_recordings(folder: Path) -> Path:
    """An empty file, a text that calls itself wav, and silence."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "empty.wav").touch()
    (folder / "text.wav").write_text("this is not a sound")
    soundfile.write(folder / "silent.wav", np.zeros(16000), 16000)
    return folder
