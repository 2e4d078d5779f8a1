"""Which objects a conversion reads and which it writes: pure, and the same every time for the same listing.

Nothing may be lost in silence: two inputs never share an output, an output never replaces an input, and what
is not audio is named as skipped.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TypeVar

from msgspec import Struct

from rvc.contract import AudioFormat, Shard
from rvc.dataset import AUDIO_SUFFIXES
from rvc.errors import InvalidConfiguration

T = TypeVar("T")
BOOKKEEPING_FOLDER = "_conversion"
"""Below an output prefix: what conversions note about themselves. Never an input."""


class InputFile(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """One object as it was when the conversion began."""

    name: str
    """Path below the input prefix, or the file name of a single object."""
    size: int
    etag: str


@dataclass(frozen=True)
class Job:
    """One input and the name of its output, below the output prefix."""

    source: InputFile
    output_name: str


def is_input(name: str) -> bool:
    """Whether an object below the input prefix takes part: not hidden, not a record of a conversion."""
    parts = name.split("/")
    return bool(parts[-1]) and not any(part.startswith(".") or part == BOOKKEEPING_FOLDER for part in parts)


def is_audio(name: str) -> bool:
    """Whether the name is one of a recording."""
    return PurePosixPath(name).suffix.lower() in AUDIO_SUFFIXES


def plan_jobs(
    inputs: Iterable[InputFile], audio_format: AudioFormat, *, named: bool
) -> tuple[list[Job], list[InputFile]]:
    """Give each recording its output, the same name with the format's extension; return what is none apart.

    Where two inputs would meet (`a.flac`, `a.wav`), the first by name gets the plain name and the others keep
    theirs before the new extension (`a.wav.wav`). `named`: the only input was named, so it is tried whatever
    its extension.
    """
    extension = "." + audio_format.lower()
    taken: set[str] = set()
    jobs, others = [], []
    for source in sorted(inputs, key=lambda source: source.name):
        if not (named or is_audio(source.name)):
            others.append(source)
            continue
        name, output_name = source.name, str(PurePosixPath(source.name).with_suffix(extension))
        while output_name in taken:
            name = output_name = name + extension
        taken.add(output_name)
        jobs.append(Job(source, output_name))
    return jobs, others


def share(all_of_them: list[T], shard: Shard) -> list[T]:
    """What of a list a shard does: by position, so that shards are disjoint, complete and of one size."""
    return all_of_them[shard.index :: shard.count]


def refuse_overwriting(jobs: Iterable[Job], input_prefix: str, output_prefix: str) -> None:
    """Raise `InvalidConfiguration` if an output has the URI of an input; both prefixes are URIs that end in
    `/`.
    """
    sources, outputs = set(), set()
    for job in jobs:
        sources.add(input_prefix + job.source.name)
        outputs.add(output_prefix + job.output_name)
    if overwritten := sorted(sources & outputs):
        raise InvalidConfiguration(
            f"{len(overwritten)} inputs would be overwritten, {overwritten[0]} first; choose an "
            "output.prefix outside the input, or another format"
        )
