"""`python -m tests.demo.transfer put|get URI [FOLDER]`: a tar stream into a store, or a folder of it out.

Runs in a pod with our images' own store; the folder is below the URI.
"""

from __future__ import annotations

import sys
import tarfile
import tempfile
from pathlib import Path

from rvc.store import open_store


def put(uri: str) -> None:
    """The files of the tar on standard input, under their names below `uri`."""
    store, prefix = open_store(uri)
    with tempfile.TemporaryDirectory() as scratch:
        with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as archive:
            archive.extractall(scratch)
        for path in sorted(path for path in Path(scratch).rglob("*") if path.is_file()):
            store.upload(path, prefix + path.relative_to(scratch).as_posix())


def get(uri: str, folder: str) -> None:
    """Everything in `folder` below `uri`, as a tar on standard output."""
    store, prefix = open_store(f"{uri}{folder}/")
    with tempfile.TemporaryDirectory() as scratch:
        for found in store.list(prefix):
            path = Path(scratch, found.key.removeprefix(prefix))
            path.parent.mkdir(parents=True, exist_ok=True)
            store.download(found.key, path)
        with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as archive:
            archive.add(scratch, arcname=".")


if __name__ == "__main__":
    {"put": put, "get": get}[sys.argv[1]](*sys.argv[2:])
