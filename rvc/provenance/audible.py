"""The audible label: a notice before and after the converted sound, of which it changes nothing.

It is a recording of the user's, or the rhythm that the standard gives: the Morse code of "AI", short long,
short short.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from rvc.audio import load_audio
from rvc.contract import AudibleLabel
from rvc.provenance.label import Provenance

Floats = NDArray[np.float32]

PAUSE_SECONDS = 0.5
"""Between the notice and the converted sound."""
_LETTERS = (".-", "..")
_UNIT_SECONDS = 0.12
"""Length of a short tone, and of the silence after every tone; a long one has three, as has the silence
between letters (ITU-R M.1677-1)."""
_LONG_UNITS = 3
_TONE_HERTZ = 800.0
_TONE_PEAK = 0.2
"""-14 dB of full scale: as loud as speech."""
_RAMP_SECONDS = 0.01
"""In which a tone swells and fades, so that it does not click."""


def between_notices(
    sound: Iterable[Floats], provenance: Provenance, sample_rate_hertz: int
) -> Iterator[Floats]:
    """The blocks of `sound`, after a notice and before one as `provenance` asks for, with pauses between.

    Raises what `load_audio` raises for a prompt that is no recording, before it takes a block.
    """
    if provenance.audible is AudibleLabel.NONE:
        yield from sound
        return
    spoken = notice(provenance, sample_rate_hertz)
    pause = np.zeros(round(PAUSE_SECONDS * sample_rate_hertz), np.float32)
    yield from (spoken, pause)
    yield from sound
    if provenance.audible is AudibleLabel.START_AND_END:
        yield from (pause, spoken)


def notice(provenance: Provenance, sample_rate_hertz: int) -> Floats:
    """What is heard at an end: float32 [samples]."""
    if provenance.prompt is not None:
        return load_audio(provenance.prompt, sample_rate_hertz)
    return rhythm(sample_rate_hertz)


def rhythm(sample_rate_hertz: int) -> Floats:
    """Short long, short short, as a tone: float32 [samples], 1.3 s."""
    unit = round(_UNIT_SECONDS * sample_rate_hertz)
    silence = np.zeros(unit, np.float32)
    parts: list[Floats] = []
    for letter in _LETTERS:
        for sign in letter:
            parts += [_tone(unit * (_LONG_UNITS if sign == "-" else 1), sample_rate_hertz), silence]
        parts += [silence] * (_LONG_UNITS - 1)
    return np.concatenate(parts[:-_LONG_UNITS])


def _tone(samples: int, sample_rate_hertz: int) -> Floats:
    time = np.arange(samples) / sample_rate_hertz
    to_an_end = np.minimum(time, time[::-1]) / _RAMP_SECONDS
    swell = 0.5 - 0.5 * np.cos(np.pi * np.minimum(to_an_end, 1))
    return (_TONE_PEAK * swell * np.sin(2 * np.pi * _TONE_HERTZ * time)).astype(np.float32)
