"""What an attempt reads: recordings and base models, or a voice, brought from their store into local folders.

Only whole files arrive, and a file name stays what it was, because messages about a recording name it.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

from rvc.base_models.stored import fetch_stored, for_training
from rvc.community.index_file import MOST_BYTES as MOST_INDEX_BYTES
from rvc.community.training_checkpoint import MOST_BYTES as MOST_CHECKPOINT_BYTES
from rvc.contract import ImportSource, StoreSettings, TrainingRequest
from rvc.errors import InvalidConfiguration, InvalidDataset, ObjectNotFound, RvcError, StoreUnavailable
from rvc.pod import event
from rvc.store import ObjectInfo, open_store
from rvc.store.failures import store_errors
from rvc_trainer.pauses import Pauses

log = logging.getLogger(__name__)
Item = TypeVar("Item")
Result = TypeVar("Result")

THREADS = 4
"""Files that are fetched at once."""


def fetch_dataset(request: TrainingRequest, folder: Path, pauses: Pauses) -> Path:
    """Copy the recordings to `folder`; raises `InvalidDataset` when there is nothing at the URI."""
    try:
        files = fetch_folder(request.dataset_uri, request.store, folder, pauses)
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


def fetch_import(
    source: ImportSource, settings: StoreSettings, folder: Path, pauses: Pauses
) -> ImportedFiles:
    """Copy a voice's files to `folder`; raises `InvalidConfiguration` for what is not there or too large."""
    model = _fetch_file(source.model_uri, settings, folder / "model", MOST_CHECKPOINT_BYTES, pauses)
    if not source.index_uri:
        return ImportedFiles(model, None)
    return ImportedFiles(
        model, _fetch_file(source.index_uri, settings, folder / "index", MOST_INDEX_BYTES, pauses)
    )


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


def fetch_base_models(request: TrainingRequest, folder: Path, pauses: Pauses) -> Path | None:
    """Copy the base models to `folder`; None, for those of the image, when the request names none."""
    uri = request.training.base_models_uri
    if not uri:
        return None
    wanted = for_training(request.training)
    return fetch_stored(
        uri, request.store, folder, wanted, lambda: pauses.go_on(f"fetching {uri}"), pauses.sleep
    )


def fetch_folder(uri: str, settings: StoreSettings, folder: Path, pauses: Pauses) -> int:
    """Copy everything below `uri` to `folder`, some files at a time, and return their number; hidden files
    stay behind. Raises `StoreUnavailable` (`DatasetChanged`) for a file that goes away meanwhile.
    """
    uri = uri.rstrip("/") + "/"
    store, prefix = open_store(uri, settings, sleep=pauses.sleep)
    folder.mkdir()

    def fetch(found: ObjectInfo) -> int:
        pauses.go_on(f"fetching {uri}")
        name = found.key.removeprefix(prefix)
        target = folder / name
        with store_errors(uri + name), _listed(uri + name):
            target.parent.mkdir(parents=True, exist_ok=True)
            store.download(found.key, target)
        return found.size

    wanted = (found for found in store.list(prefix) if not _is_hidden(found.key.removeprefix(prefix)))
    files = size = 0
    for fetched in _in_parallel(fetch, wanted):
        files, size = files + 1, size + fetched
    event(log, "fetched", uri=uri, files=files, bytes=size)
    return files


@contextmanager
def _listed(uri: str) -> Iterator[None]:
    """What was listed and is gone makes no half a dataset; who lists again knows what there is now."""
    try:
        yield
    except ObjectNotFound as error:
        raise StoreUnavailable(
            f"{uri} was removed while the dataset was fetched; the next attempt takes what is there then, so "
            "put it back before, or leave the dataset as it is",
            reason="DatasetChanged",
        ) from error


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def _in_parallel(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Results in the order of the items, of which few are looked at ahead; after an error none begins."""
    with ThreadPoolExecutor(THREADS, "fetch") as threads:
        begun: deque[Future[Result]] = deque()
        try:
            for item in items:
                if len(begun) == 2 * THREADS:
                    yield begun.popleft().result()
                begun.append(threads.submit(work, item))
            while begun:
                yield begun.popleft().result()
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise


def _fetch_file(uri: str, settings: StoreSettings, folder: Path, most_bytes: int, pauses: Pauses) -> Path:
    """Copy one object into `folder` under its own name."""
    try:
        store, key = open_store(uri, settings, sleep=pauses.sleep)
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
