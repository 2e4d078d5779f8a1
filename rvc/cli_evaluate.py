"""What `rvc evaluate` does; `rvc.cli` says how it is written."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tqdm import tqdm

from rvc.cli import conversion_parameters
from rvc.cli_voices import print_result
from rvc.community.voice import open_any_voice
from rvc.contract import PitchMethod
from rvc.convert import Converter
from rvc.dataset import AUDIO_SUFFIXES
from rvc.device import open_device
from rvc.errors import InvalidAudio, InvalidConfiguration, ObjectNotFound
from rvc.quality.evaluate import Evaluation, Instruments, Sample
from rvc.quality.evaluate import evaluate as evaluate_voice


def evaluate(chosen: argparse.Namespace) -> None:
    """`rvc evaluate VOICE [RECORDINGS] --target FOLDER`."""
    if chosen.recordings is None and chosen.target is None:
        raise InvalidConfiguration(
            "name recordings to convert, or with --target recordings of the voice's speaker, or both"
        )
    target = recordings_in(chosen.target) if chosen.target else []
    samples = [Sample(path, _text_of(path)) for path in recordings_in(chosen.recordings or chosen.target)]
    if chosen.keep is not None:
        chosen.keep.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="rvc-") as scratch,
        tqdm(total=len(samples), unit="file", disable=chosen.json) as bar,
    ):
        voice = open_any_voice(chosen.voice, chosen.index, Path(scratch))
        converter = Converter(voice, chosen.base_models, open_device(chosen.device))
        found = evaluate_voice(
            converter,
            samples,
            target,
            conversion_parameters(chosen),
            Instruments.available(
                converter.pitch_extractor(PitchMethod.AUTO), chosen.base_models, chosen.recogniser
            ),
            language=chosen.language,
            keep=chosen.keep,
            on_sample=lambda number: bar.update(number - bar.n) and None,
        )
    print_result(found.as_json(), _lines(found), chosen)
    if all(one.reason for one in found.recordings):
        raise InvalidAudio(f"none of {len(samples)} recordings could be converted", reason="SomeInputsFailed")


def recordings_in(path: Path) -> list[Path]:
    """A recording, or those in a folder and its subfolders; raises ObjectNotFound where there are none."""
    if path.is_file():
        return [path]
    found = [each for each in sorted(path.rglob("*")) if each.suffix.lower() in AUDIO_SUFFIXES]
    if not found:
        raise ObjectNotFound(f"no recordings in {path}; put wav, flac, mp3, ogg or m4a files there")
    return found


def _text_of(recording: Path) -> str:
    text = recording.with_suffix(".txt")
    return text.read_text(encoding="utf-8").strip() if text.is_file() else ""


def _lines(found: Evaluation) -> list[str]:
    figures = [f"{name:32}{figure:10.3f}" for name, figure in found.means.items()]
    refused = [f"{one.recording}: {one.message}" for one in found.recordings if one.reason]
    missing = [f"not measured: {reason}" for reason in found.not_measured]
    return [f"means over {len(found.recordings) - len(refused)} recordings", *figures, *refused, *missing]
