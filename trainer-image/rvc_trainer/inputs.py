"""What an attempt reads: recordings and base models, brought from their store into local folders.

Only whole files arrive, and a file name stays what it was, because messages about a recording name it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rvc.contract import StoreSettings, TrainingRequest
from rvc.errors import InvalidConfiguration, InvalidDataset, ObjectNotFound, Terminated
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


@contextmanager
def naming_the_dataset(request: TrainingRequest, folder: Path) -> Iterator[None]:
    """Let messages about the dataset name what the user knows, its URI, not the folder it was copied to."""
    try:
        yield
    except InvalidDataset as error:
        message = str(error).replace(str(folder), request.dataset_uri)
        raise InvalidDataset(message, reason=error.reason) from error


def fetch_base_models(request: TrainingRequest, folder: Path, stop: Callable[[], bool]) -> Path | None:
    """Copy the base models to `folder`; None, for those of the image, when the request names none."""
    uri = request.training.base_models_uri
    if not uri:
        return None
    try:
        files = fetch_folder(uri, request.store, folder, stop)
    except ObjectNotFound as error:
        raise InvalidConfiguration(
            f"the base models {uri} are not there ({error})", reason="BaseModelMissing"
        ) from error
    if files == 0:
        raise InvalidConfiguration(
            f"{uri} holds no base models; fill a folder with `rvc fetch-base` and copy it there",
            reason="BaseModelMissing",
        )
    return folder


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
