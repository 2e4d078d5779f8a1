"""The recordings of the demo, all from Debian packages.

The voice to learn is a woman's: studio prompts of Asterisk's English sounds (CC-BY-SA-3.0, 16 kHz G.722). The
recordings to convert are other speakers': English sentences by flite's male voice `rms`, whose text is known,
and a few prompts read by a man in Italian (CC-BY-3.0). The voices are identifiable people's: train on them
here, never publish a model of them.
"""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import soundfile

from tests.demo.debian import unpacked

RATE_HERTZ = 16000
ENGLISH = "asterisk-core-sounds-en-g722"
ITALIAN = "asterisk-core-sounds-it-g722"
SENTENCES = (
    "The train to the coast leaves at a quarter past nine, and it is rarely late.",
    "She put the letter on the table and looked out of the window for a long time.",
    "If the weather stays dry, we can walk to the old bridge before dinner.",
    "Nobody in the village had ever seen so many birds on a single morning.",
    "Please leave the keys with my neighbour when you have finished your work.",
    "The museum opens late on Thursdays, and children do not pay.",
)


def decode_g722(path: Path) -> np.ndarray:
    """Samples of a raw G.722 file: float32 [samples], 16 kHz."""
    with av.open(str(path), format="g722") as container:
        blocks = [frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]
    return np.concatenate(blocks).astype(np.float32) / 32768 if blocks else np.zeros(0, np.float32)


def prompts(package: str, seed: int) -> Iterator[tuple[str, np.ndarray]]:
    """Spoken prompts of a sound package that last two seconds or more, in the same order every time."""
    paths = sorted(unpacked(package).glob("usr/share/asterisk/sounds/*/**/*.g722"))
    paths = [path for path in paths if "silence" not in path.parts and "tone" not in path.stem]
    random.Random(seed).shuffle(paths)
    for path in paths:
        audio = decode_g722(path)
        if len(audio) >= 2 * RATE_HERTZ and np.sqrt(np.mean(audio**2)) > 1e-3:
            yield path.stem, audio


def write_dataset(recordings: Path, held_out: Path, minutes: float) -> None:
    """About `minutes` of the target speaker in `recordings`, and 90 seconds that are not trained on."""
    recordings.mkdir(parents=True, exist_ok=True)
    held_out.mkdir(parents=True, exist_ok=True)
    seconds, kept_out = 0.0, 0.0
    for name, audio in prompts(ENGLISH, seed=1):
        if kept_out < 90:
            soundfile.write(held_out / f"{name}.wav", audio, RATE_HERTZ)
            kept_out += len(audio) / RATE_HERTZ
        elif seconds < 60 * minutes:
            soundfile.write(recordings / f"{name}.flac", audio, RATE_HERTZ)
            seconds += len(audio) / RATE_HERTZ


def write_sources(inbox: Path) -> None:
    """What the demo's Conversions read: one file, and a folder of several formats."""
    letters = inbox / "letters"
    letters.mkdir(parents=True, exist_ok=True)
    names = (
        "greeting.wav",
        "letters/01.wav",
        "letters/02.flac",
        "letters/03.ogg",
        "letters/04.mp3",
        "letters/05.wav",
    )
    for name, sentence in zip(names, SENTENCES, strict=True):
        audio, rate = synthetic(sentence, inbox)
        soundfile.write(inbox / name, audio, rate)
    for index, (_, audio) in zip((6, 7), prompts(ITALIAN, seed=2), strict=False):
        soundfile.write(letters / f"{index:02d}-italian.flac", audio, RATE_HERTZ)


def synthetic(sentence: str, scratch: Path, voice: str = "rms") -> tuple[np.ndarray, int]:
    """A sentence spoken by one of flite's voices (rms: a man, slt: a woman): samples and their rate."""
    root = unpacked("flite", "libflite1", "libasound2")
    libraries = ":".join(str(folder) for folder in root.glob("usr/lib/*-linux-gnu"))
    path = scratch / ".flite.wav"
    subprocess.run(
        [str(root / "usr/bin/flite"), "-voice", voice, "-t", sentence, "-o", str(path)],
        env=os.environ | {"LD_LIBRARY_PATH": libraries},
        check=True,
    )
    audio, rate = soundfile.read(path, dtype="float32")
    path.unlink()
    return audio, rate
