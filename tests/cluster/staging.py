"""The build context of an image: the few files that it may use, free of what differs between machines."""

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from .layout import REPOSITORY

#: Programs' own files, which differ between machines.
UNWANTED = shutil.ignore_patterns("__pycache__", "*.pyc", "*.egg-info", ".*")


def stage(context: Path, code: Iterable[Path], linked: Mapping[str, Path]) -> str:
    """Fill the new folder `context`; returns a digest of the code in it.

    `code` are files and folders of the repository, copied to the same place; `linked` are folders (name ->
    source) of large files, which are hard-linked where possible and are no part of the digest.
    """
    for source in code:
        target = context / source.relative_to(REPOSITORY)
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=UNWANTED)
        else:
            shutil.copy(source, target)
    digest = _normalize(context)
    for name, folder in linked.items():
        shutil.copytree(folder, context / name, ignore=UNWANTED, copy_function=_link)
    return digest


def _normalize(context: Path) -> str:
    """Give everything the same modes and times on every machine; returns a digest of it all."""
    digest = hashlib.sha256()
    for path in _tree(context):
        path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
        os.utime(path, (0, 0))
        content = b"" if path.is_dir() else path.read_bytes()
        digest.update(
            f"{path.relative_to(context)}\0{path.stat().st_mode:o}\0{len(content)}\0".encode() + content
        )
    return digest.hexdigest()


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copyfile(source, target)


def _tree(context: Path) -> Iterator[Path]:
    """Everything below, children before their folder (whose time their copies would change)."""
    return iter(sorted(context.rglob("*"), reverse=True))
