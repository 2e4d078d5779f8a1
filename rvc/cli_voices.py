"""What the commands of `rvc` do that look at voices, bring, pass on and mix them; `rvc.cli` says how they are
written."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from rvc.community.inference_model import write_inference_model
from rvc.community.merge import merge_voices
from rvc.community.voice import export_voice, fitting_index, import_voice, open_any_voice, write_voice
from rvc.errors import InvalidConfiguration
from rvc.tiles import MEDIAN_F0
from rvc.voice import VoiceManifest, open_voice

_MODEL_SUFFIX = ".pth"


def info(chosen: argparse.Namespace) -> None:
    """`rvc info VOICE`: checks all files, prints the manifest."""
    with tempfile.TemporaryDirectory(prefix="rvc-") as scratch:
        print_voice(open_any_voice(chosen.voice, chosen.index, Path(scratch)).manifest, chosen)


def import_(chosen: argparse.Namespace) -> None:
    """`rvc import MODEL VOICE`."""
    name = chosen.name or chosen.voice.name
    print_voice(import_voice(chosen.model, chosen.index, chosen.voice, name=name), chosen)


def export(chosen: argparse.Namespace) -> None:
    """`rvc export VOICE [FOLDER]`."""
    written = export_voice(open_voice(chosen.voice), chosen.folder, chosen.name or "")
    _print_files(written, chosen)


def merge(chosen: argparse.Namespace) -> None:
    """`rvc merge A B OUTPUT`: into a voice folder, or into a model file where OUTPUT ends in `.pth`."""
    output: Path = chosen.output
    to_file = output.suffix == _MODEL_SUFFIX
    if to_file and chosen.index is not None:
        raise InvalidConfiguration(
            f"an index goes into a voice folder, not into {output}; leave out --index or name a folder"
        )
    with tempfile.TemporaryDirectory(prefix="rvc-") as scratch:
        first, second = (open_any_voice(path, None, Path(scratch)) for path in (chosen.first, chosen.second))
        model, manifest = merge_voices(first, second, chosen.share, chosen.name or output.stem)
    if to_file:
        write_inference_model(model, output)
        _print_files([output], chosen)
        return
    index = None if chosen.index is None else fitting_index(chosen.index, model.geometry)
    print_voice(write_voice(output, model, index, manifest), chosen)


def print_voice(manifest: VoiceManifest, chosen: argparse.Namespace) -> None:
    """A voice in three lines, or its whole manifest."""
    metrics = ", ".join(f"{name} {value:.4g}" for name, value in manifest.metrics.items())
    lines = [
        f"{manifest.name}: {manifest.architecture} at {manifest.sample_rate_hertz} Hz, "
        f"{manifest.content_encoder.name}, {manifest.pitch_method}",
        _learnt_from(manifest),
        metrics,
    ]
    print_result(msgspec.to_builtins(manifest), lines, chosen)


def print_result(result: dict[str, Any], lines: list[str], chosen: argparse.Namespace) -> None:
    """The result of a command, for machines or for people."""
    text = json.dumps(result, ensure_ascii=False) if chosen.json else "\n".join(lines)
    sys.stdout.write(f"{text}\n")


def _print_files(paths: list[Path], chosen: argparse.Namespace) -> None:
    print_result({"files": [str(path) for path in paths]}, [str(path) for path in paths], chosen)


def _learnt_from(manifest: VoiceManifest) -> str:
    if manifest.dataset is None or manifest.parameters is None:
        return "trained elsewhere: " + ", ".join(f"{name} {value}" for name, value in manifest.origin.items())
    return (
        f"learnt from {manifest.dataset.seconds / 60:.1f} minutes of speech in {manifest.dataset.clips} "
        f"clips, {manifest.parameters.epochs} epochs, at a median F0 of "
        f"{manifest.statistics.get(MEDIAN_F0, 0):.0f} Hz"
    )
