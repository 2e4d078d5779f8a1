"""The kinds of storage that obey one contract, and an OSS server for those that need one."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rvc.store import FolderStore, Store
from rvc.store.oss.store import OssStore
from tests.oss import OssServer
from tests.oss.objects import Bucket
from tests.store.support import SimulatedTime, open_oss

_numbers = itertools.count()


@dataclass
class Place:
    """A store of its own, and what it is called in messages."""

    store: Store
    uri: str


@pytest.fixture(scope="module")
def shared_server() -> Iterator[OssServer]:
    with OssServer() as server:
        yield server


@pytest.fixture
def server() -> Iterator[OssServer]:
    with OssServer() as server:
        yield server


@pytest.fixture
def clock() -> SimulatedTime:
    return SimulatedTime()


@pytest.fixture
def oss(server: OssServer, clock: SimulatedTime) -> OssStore:
    return open_oss(server, clock)


@pytest.fixture(params=["folder", "oss"])
def new_place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], Place]:
    """Makes empty stores."""

    def folder() -> Place:
        return Place(FolderStore(tmp_path_factory.mktemp("claim"), "pvc://claim/"), "pvc://claim/")

    def bucket() -> Place:
        server: OssServer = request.getfixturevalue("shared_server")
        name = f"bucket-{next(_numbers)}"
        bodies: Path = tmp_path_factory.mktemp("bodies")
        server.buckets[name] = Bucket(bodies)
        return Place(open_oss(server, SimulatedTime(), name), f"oss://{name}/")

    return folder if request.param == "folder" else bucket


@pytest.fixture
def place(new_place: Callable[[], Place]) -> Place:
    return new_place()


@pytest.fixture
def store(place: Place) -> Store:
    return place.store
