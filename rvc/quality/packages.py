"""Measuring networks that other packages carry: used where they are installed, never needed."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from pathlib import Path


def packaged_file(package: str, name: str) -> Path | None:
    """Where an installed package keeps a file (a path inside it); None without the package or the file. The
    package is not imported."""
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.as_posix() == name and (path := Path(str(file.locate()))).is_file():
            return path
    return None


def is_installed(module: str) -> bool:
    """Whether a module could be imported."""
    return importlib.util.find_spec(module) is not None
