"""The programs of Kubernetes: given by the user, downloaded, or built from Debian's source package."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import release_download, source_build
from .layout import ClusterError, cache_folder, exclusive
from .toolbox import run

COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")


@dataclass(frozen=True)
class Binaries:
    """A folder that holds all of COMPONENTS, of one version."""

    folder: Path
    version: tuple[int, int]
    """(major, minor), on which some command line flags depend."""

    def __getitem__(self, component: str) -> str:
        return str(self.folder / component)


def provide() -> Binaries:
    """From KUBE_BIN_DIR, the cache, the release download or the source package, in this order."""
    given = os.environ.get("KUBE_BIN_DIR")
    if given:
        return _checked(Path(given))
    with exclusive("kube-bin"):
        return _checked(_cached() or _make())


def _folder(version: str) -> Path:
    return cache_folder() / "bin" / version


def _cached() -> Path | None:
    versions = (release_download.VERSION, source_build.VERSION)
    return next((_folder(version) for version in versions if _folder(version).is_dir()), None)


def _make() -> Path:
    """Fill a folder of the cache; it gets its name only when it is complete."""
    version, fill = _source()
    folder = _folder(version)
    partial = folder.with_name(f"{version}.partial")
    partial.mkdir(parents=True, exist_ok=True)
    fill(partial, COMPONENTS)
    partial.rename(folder)
    return folder


def _source() -> tuple[str, Callable[[Path, tuple[str, ...]], None]]:
    release = release_download.pinned()
    if release is not None and release.available():
        return release.version, release.download
    return source_build.VERSION, source_build.build


def _checked(folder: Path) -> Binaries:
    missing = [name for name in COMPONENTS if not os.access(folder / name, os.X_OK)]
    if missing:
        raise ClusterError(
            f"{folder} has no {', '.join(missing)}; unset KUBE_BIN_DIR, or point it at all five programs"
        )
    answer = run([str(folder / COMPONENTS[0]), "--version"])
    version = re.search(r"v(\d+)\.(\d+)\.", answer)
    if version is None:
        raise ClusterError(f"{folder / COMPONENTS[0]} --version answered {answer!r}, which names no version")
    return Binaries(folder, (int(version[1]), int(version[2])))
