"""The recordings of a voice: which files there are, which can be used, and why not the others.

A bad file costs only itself. It is reported with its reason, and the dataset fails as a whole only when too
little is left to learn from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rvc.digest import sha256_of
from rvc.errors import InvalidDataset

AUDIO_SUFFIXES = frozenset(
    (
        ".wav",
        ".flac",
        ".ogg",
        ".oga",
        ".opus",
        ".mp3",
        ".m4a",
        ".aac",
        ".mp4",
        ".wma",
        ".aif",
        ".aiff",
        ".au",
        ".caf",
        ".amr",
        ".webm",
    )
)
MINIMUM_SECONDS = 10.0
RECOMMENDED_SECONDS = 600.0
MOST_SPEAKERS = 109
"""Rows of the table of speakers in RVC's own base models."""
_REASONS_SHOWN = 3


@dataclass(frozen=True)
class Recording:
    """One file of a dataset."""

    name: str
    """Path below the dataset's folder, with `/`."""
    path: Path
    digest: str
    """sha256 of the file, 64 hex digits."""
    speaker: int = 0
    """Whose it is, counted from 0."""


@dataclass(frozen=True)
class Refusal:
    """A recording that cannot be used."""

    name: str
    reason: str
    message: str


def find_recordings(folder: Path) -> list[Recording]:
    """All files below `folder` that look like audio by their names, in the order of their names.

    Hidden files and folders are not looked at. Raises InvalidDataset if the folder is missing or has no such
    file.
    """
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise InvalidDataset(f"the dataset folder {folder} {what}; name the folder that holds the recordings")
    files = [path for path in folder.rglob("*") if path.is_file() and not _hidden(path.relative_to(folder))]
    audio = [path for path in files if path.suffix.lower() in AUDIO_SUFFIXES]
    if not audio:
        raise InvalidDataset(
            f"no recordings in {folder} ({len(files)} files, none of them audio by its name); put wav, flac, "
            "mp3, "
            "ogg or m4a files of one speaker there, about ten minutes in all"
        )
    named = sorted((path.relative_to(folder).as_posix(), path) for path in audio)
    return [Recording(name, path, sha256_of(path)) for name, path in named]


def find_speakers(folder: Path) -> tuple[list[Recording], tuple[str, ...]]:
    """As `find_recordings`, where each folder directly in `folder` is a speaker; with the speakers' names.

    Folders named by a number come first, in the order of their numbers, then the others by name. Raises
    InvalidDataset, too, for recordings that lie beside the speakers' folders and for too many speakers.
    """
    recordings = find_recordings(folder)
    strays = [recording.name for recording in recordings if "/" not in recording.name]
    if strays:
        raise InvalidDataset(
            f"{len(strays)} recordings in {folder} belong to no speaker (such as {strays[0]}); move each "
            "into the folder of its speaker, or train without multiSpeaker",
            reason="RecordingsWithoutSpeaker",
        )
    owners = [recording.name.split("/")[0] for recording in recordings]
    names = sorted(set(owners), key=_order_of_speakers)
    if len(names) > MOST_SPEAKERS:
        raise InvalidDataset(
            f"{folder} holds {len(names)} speakers' folders; a voice has at most {MOST_SPEAKERS}",
            reason="TooManySpeakers",
        )
    numbers = {name: number for number, name in enumerate(names)}
    owned = [
        replace(recording, speaker=numbers[owner])
        for recording, owner in zip(recordings, owners, strict=True)
    ]
    return owned, tuple(names)


def dataset_digest(recordings: Sequence[Recording]) -> str:
    """`sha256:` and 64 hex digits over the names and contents of the recordings."""
    lines = "".join(f"{recording.digest}  {recording.name}\n" for recording in recordings)
    return f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"


def require_enough(seconds: float, recordings: int, refusals: Sequence[Refusal]) -> None:
    """Raise InvalidDataset, with what to do, if less than ten seconds of speech are left."""
    if seconds >= MINIMUM_SECONDS:
        return
    refused = ""
    if refusals:
        shown = "; ".join(refusal.message for refusal in refusals[:_REASONS_SHOWN])
        more = f"; and {len(refusals) - _REASONS_SHOWN} more" if len(refusals) > _REASONS_SHOWN else ""
        refused = f" {len(refusals)} were refused: {shown}{more}."
    raise InvalidDataset(
        f"{recordings} recordings give {seconds:.1f} seconds of usable speech, too little to learn a voice "
        "from."
        f"{refused} At least {MINIMUM_SECONDS:.0f} seconds are needed, "
        f"{RECOMMENDED_SECONDS / 60:.0f} minutes are recommended"
    )


def _order_of_speakers(name: str) -> tuple[bool, int, str]:
    is_number = name.isascii() and name.isdigit()
    return not is_number, int(name) if is_number else 0, name


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
