"""What an attempt reads: recordings and base models, or a voice, brought from their store into local folders.

Only whole files arrive, and a file name stays what it was, because messages about a recording name it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rvc.base_models.stored import fetch_stored, for_training
from rvc.community.index_file import MOST_BYTES as MOST_INDEX_BYTES
from rvc.community.training_checkpoint import MOST_BYTES as MOST_CHECKPOINT_BYTES
from rvc.contract import ImportSource, StoreSettings, TrainingRequest
from rvc.errors import InvalidConfiguration, InvalidDataset, ObjectNotFound, RvcError, Terminated
from rvc.pod import event
from rvc.store import open_store

log = logging.getLogger(__name__)


def fetch_dataset(request: TrainingRequest, folder: Path, stop: Callable[[], bool]) -> Path:
    """Copy the recordings to `folder`; raises `InvalidDataset` when there is nothing at the URI."""
    try:
        files = fetch_folder(request.dataset_uri, request.store, folder, stop)
    except ObjectNotFound as error:
        raise InvalidDataset(
            f"the dataset {request.dataset_uri} is not there ({error}); correct spec.dataset.uri or put the "
            "recordings there and change spec.dataset.revision",
            reason="DatasetNotFound",
        ) from error
    if files == 0:
        raise InvalidDataset(
            f"the dataset {request.dataset_uri} holds no files; put recordings of the voice there and change "
            "spec.dataset.revision",
            reason="DatasetEmpty",
        )
    return folder


@dataclass(frozen=True)
class ImportedFiles:
    """The files of a voice to take over, as local copies."""

    model: Path
    index: Path | None

    @property
    def paths(self) -> tuple[Path, ...]:
        """Of all that there are."""
        return (self.model,) if self.index is None else (self.model, self.index)


def fetch_import(source: ImportSource, settings: StoreSettings, folder: Path) -> ImportedFiles:
    """Copy a voice's files to `folder`; raises `InvalidConfiguration` for what is not there or too large."""
    model = _fetch_file(source.model_uri, settings, folder / "model", MOST_CHECKPOINT_BYTES)
    if not source.index_uri:
        return ImportedFiles(model, None)
    return ImportedFiles(model, _fetch_file(source.index_uri, settings, folder / "index", MOST_INDEX_BYTES))


@contextmanager
def naming(uris: Mapping[Path, str]) -> Iterator[None]:
    """Let messages name what the user knows, URIs, not the places that was copied to."""
    try:
        yield
    except RvcError as error:
        message = str(error)
        for path, uri in uris.items():
            message = message.replace(str(path), uri)
        raise type(error)(message, reason=error.reason) from error


def fetch_base_models(request: TrainingRequest, folder: Path, stop: Callable[[], bool]) -> Path | None:
    """Copy the base models to `folder`; None, for those of the image, when the request names none."""
    uri = request.training.base_models_uri
    if not uri:
        return None

    def stop_here() -> None:
        if stop():
            raise Terminated(f"ended while fetching {uri}")

    wanted = for_training(request.training.sample_rate_hertz)
    return fetch_stored(uri, request.store, folder, wanted, stop_here)


def fetch_folder(uri: str, settings: StoreSettings, folder: Path, stop: Callable[[], bool]) -> int:
    """Copy everything below `uri` to `folder` and return the number of files; hidden files stay behind."""
    store, prefix = open_store(uri.rstrip("/") + "/", settings)
    files = size = 0
    folder.mkdir()
    for found in sorted(store.list(prefix), key=lambda found: found.key):
        name = found.key.removeprefix(prefix)
        if any(part.startswith(".") for part in name.split("/")):
            continue
        if stop():
            raise Terminated(f"ended while fetching {uri}")
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        store.download(found.key, target)
        files, size = files + 1, size + found.size
    event(log, "fetched", uri=uri, files=files, bytes=size)
    return files


def _fetch_file(uri: str, settings: StoreSettings, folder: Path, most_bytes: int) -> Path:
    """Copy one object into `folder` under its own name."""
    try:
        store, key = open_store(uri, settings)
        found = store.stat(key)
        if found is None:
            raise ObjectNotFound("no such file")
        if found.size > most_bytes:
            raise InvalidConfiguration(
                f"{uri} has {found.size} bytes; no file of an RVC voice has more than {most_bytes}",
                reason="ImportTooLarge",
            )
        path = folder / PurePosixPath(key).name
        folder.mkdir(parents=True)
        store.download(key, path)
    except ObjectNotFound as error:
        raise InvalidConfiguration(
            f"{uri} is not there ({error}); correct spec.import, or put the file there and change "
            "spec.import.revision",
            reason="ImportNotFound",
        ) from error
    event(log, "fetched", uri=uri, bytes=found.size)
    return path
