"""Lists in a store, a JSON object on each line, however long.

They are written and read line by line, with a local file between: a list is never in memory as text.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from rvc.errors import ArtifactCorrupt, ObjectNotFound
from rvc.store import Store
from rvc.store.failures import store_errors

Line = TypeVar("Line", bound=Struct)


def write_lines(store: Store, key: str, values: Iterable[Struct], *, overwrite: bool) -> None:
    """Publish a list, whole or not at all; raises what `Store.upload` does."""
    encoder = msgspec.json.Encoder()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lines"
        with store_errors(folder), path.open("wb") as file:
            file.writelines(encoder.encode(value) + b"\n" for value in values)
        store.upload(path, key, overwrite=overwrite)


def read_lines(store: Store, key: str, kind: type[Line]) -> Iterator[Line]:
    """The lines of a list, none if it is not there; raises `ArtifactCorrupt` for one that is no `kind`."""
    decoder = msgspec.json.Decoder(kind)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lines"
        try:
            store.download(key, path)
        except ObjectNotFound:
            return
        with path.open("rb") as file:
            try:
                yield from map(decoder.decode, file)
            except msgspec.MsgspecError as error:
                raise ArtifactCorrupt(
                    f"{key} cannot be read ({error}); remove its folder to convert from the beginning"
                ) from error
