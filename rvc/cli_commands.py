"""What the commands of `rvc` do; `rvc.cli` says how they are written."""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from rvc.audio import ANALYSIS_RATE_HERTZ, load_audio
from rvc.base_models import default_folder
from rvc.cli import conversion_parameters
from rvc.cli_voices import print_result
from rvc.community.voice import open_any_voice
from rvc.contract import (
    CONTENT_PRODUCER_VARIABLE,
    DEFAULT_CONTENT_PRODUCER,
    AudibleLabel,
    AudioFormat,
    StoreSettings,
)
from rvc.convert import Converter
from rvc.dataset import AUDIO_SUFFIXES
from rvc.device import open_device
from rvc.errors import InvalidAudio, InvalidConfiguration, ObjectNotFound, PermissionDenied
from rvc.provenance import Provenance, unnamed_origin
from rvc.tiles import median_f0_of
from rvc.voice import VoiceManifest


def convert(chosen: argparse.Namespace) -> None:
    """`rvc convert VOICE INPUT OUTPUT`. A bad recording of a folder is reported and does not stop the
    others."""
    parameters = conversion_parameters(chosen)
    labels = _labels(chosen)
    jobs = _jobs(chosen)
    done: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="rvc-") as scratch, tqdm(jobs, disable=chosen.json) as bar:
        voice = open_any_voice(chosen.voice, chosen.index, Path(scratch))
        converter = Converter(voice, chosen.base_models, open_device(chosen.device))
        for source, target in bar:
            bar.set_description_str(source.name)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                report = converter.convert(
                    source,
                    target,
                    parameters,
                    _format(chosen, target),
                    Path(scratch),
                    provenance=replace(labels, origin=unnamed_origin(source, parameters)),
                )
            except (InvalidAudio, ObjectNotFound, PermissionDenied) as error:
                if not chosen.input.is_dir():
                    raise
                failed.append({"input": str(source), "reason": error.reason, "message": str(error)})
                bar.write(f"{source}: {error}", file=sys.stderr)
                continue
            done.append({"input": str(source), "output": str(target), **asdict(report)})
    result = {"converted": done, "failed": failed}
    lines = [
        f"{one['output']}  {one['seconds']:.1f} s at {one['sample_rate_hertz']} "
        f"Hz{_pitch_hint(one, voice.manifest, parameters.speaker_id)}"
        for one in done
    ]
    print_result(result, lines, chosen)
    if failed:
        raise InvalidAudio(
            f"{len(failed)} of {len(jobs)} recordings could not be converted", reason="SomeInputsFailed"
        )


def fetch_base(chosen: argparse.Namespace) -> None:
    """`rvc fetch-base [FOLDER] [--to URI]`."""
    from rvc.base_models.fetch import fetch_base_models, select
    from rvc.base_models.send import send_base_models
    from rvc.base_models.sources import DEFAULT_NAMES

    folder = chosen.folder or default_folder()
    names = select(chosen.only) if chosen.only else DEFAULT_NAMES
    fetch_base_models(folder, _report, names)
    result = {"folder": str(folder), "models": list(names)}
    if chosen.to is None:
        print_result(result, [str(folder)], chosen)
        return
    sent = send_base_models(folder, chosen.to, StoreSettings(), _report)
    print_result(result | {"uri": chosen.to, "sent": sent}, [chosen.to], chosen)


def add_base(chosen: argparse.Namespace) -> None:
    """`rvc add-base FILE ...`."""
    from rvc.base_models.add import add_base_model

    if chosen.name and len(chosen.files) > 1:
        raise InvalidConfiguration("--as names one file; add the others by commands of their own")
    folder = chosen.base_models or default_folder()
    added = {str(path): add_base_model(folder, path, chosen.name) for path in chosen.files}
    lines = [f"{path} is {name}, now in {folder}" for path, name in added.items()]
    print_result({"folder": str(folder), "added": added}, lines, chosen)


def _report(line: str) -> None:
    tqdm.write(line, file=sys.stderr)


_TELLING_SEMITONES = 4.0
_FORMATS = {f".{name.lower()}": name for name in AudioFormat}


def _labels(chosen: argparse.Namespace) -> Provenance:
    """What all outputs of the command say about themselves."""
    producer = chosen.producer or os.environ.get(CONTENT_PRODUCER_VARIABLE) or DEFAULT_CONTENT_PRODUCER
    if chosen.label_prompt is not None:
        if chosen.audible_label is AudibleLabel.NONE:
            raise InvalidConfiguration(
                "--label-prompt is nowhere to be heard; say where by --audible-label Start or StartAndEnd"
            )
        try:
            load_audio(chosen.label_prompt, ANALYSIS_RATE_HERTZ)
        except InvalidAudio as error:
            raise InvalidConfiguration(f"--label-prompt: {error}", reason=error.reason) from error
    return Provenance(producer, audible=chosen.audible_label, prompt=chosen.label_prompt)


def _jobs(chosen: argparse.Namespace) -> list[tuple[Path, Path]]:
    """(recording, converted file) for all recordings that were asked for, none of which is overwritten."""
    if not chosen.input.exists():
        raise ObjectNotFound(f"{chosen.input} does not exist; name a recording or a folder of recordings")
    jobs = _folder_jobs(chosen) if chosen.input.is_dir() else [(chosen.input, chosen.output)]
    sources = {source.resolve() for source, _ in jobs}
    for _, target in jobs:
        if target.resolve() in sources:
            raise InvalidConfiguration(
                f"{target} is a recording and would be overwritten; name another output"
            )
        if target.is_dir():
            raise InvalidConfiguration(f"{target} is a folder; name a file to write to")
        _require_writable(target.parent)
    return jobs


def _folder_jobs(chosen: argparse.Namespace) -> list[tuple[Path, Path]]:
    suffix = f".{(chosen.format or AudioFormat.WAV).lower()}"
    recordings = [path for path in sorted(chosen.input.rglob("*")) if _is_input(path, chosen)]
    if not recordings:
        raise ObjectNotFound(f"no recordings in {chosen.input}; put wav, flac, mp3, ogg or m4a files there")
    targets = [chosen.output / path.relative_to(chosen.input).with_suffix(suffix) for path in recordings]
    counts = Counter(targets)
    for path, target in zip(recordings, targets, strict=True):
        if counts[target] > 1:
            raise InvalidConfiguration(
                f"two recordings would both become {target}; rename one of them (such as {path})"
            )
    return list(zip(recordings, targets, strict=True))


def _is_input(path: Path, chosen: argparse.Namespace) -> bool:
    """Whether a path below the input folder is a recording, rather than hidden or converted earlier."""
    if path.suffix.lower() not in AUDIO_SUFFIXES or not path.is_file():
        return False
    if any(part.startswith(".") for part in path.relative_to(chosen.input).parts):
        return False
    source, output = chosen.input.resolve(), chosen.output.resolve()
    return source not in output.parents or output not in path.resolve().parents


def _require_writable(folder: Path) -> None:
    """Raise before hours of work what would be raised after them."""
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise InvalidConfiguration(f"{folder} is a file; name a folder to write to")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionDenied(f"{folder} may not be written to; check its owner and mode")


def _format(chosen: argparse.Namespace, target: Path) -> AudioFormat:
    if chosen.format:
        return AudioFormat(chosen.format)
    return _FORMATS.get(target.suffix.lower(), AudioFormat.WAV)


def _pitch_hint(report: dict[str, Any], manifest: VoiceManifest, speaker_id: int) -> str:
    """What to do if the source speaks much higher or lower than the voice."""
    own, spoken = median_f0_of(manifest.statistics, speaker_id), report["median_f0_hertz"]
    if not own or not spoken or abs(12 * math.log2(own / spoken)) < _TELLING_SEMITONES:
        return ""
    return (
        f"  (F0 is {spoken:.0f} Hz, the voice was learnt at {own:.0f} Hz: "
        f"{12 * math.log2(own / spoken):+.0f} more semitones of --transpose would bring them together)"
    )
