"""A server with a shard goes after each single operation of the store in turn, and another one follows."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import msgspec
import soundfile

from rvc.contract import ConversionRequest, Shard
from rvc.errors import StoreUnavailable
from rvc.store import FolderStore
from rvc_inference import inputs, run
from rvc_inference.run import Conversion
from rvc_inference.voices import Voices
from tests.fixtures.sounds import voice_like
from tests.inference.servers import Copier, request

FILES = 5
OPERATIONS = {"list", "stat", "download", "upload", "read_bytes", "write_bytes", "delete", "sweep"}


class Dead(StoreUnavailable):
    """What a server that is no more would have done has no effect."""


class Mortal(FolderStore):
    """A store for which its user is dead after so many operations."""

    def __init__(self, root: Path, left: list[int]) -> None:
        super().__init__(root, "pvc://data/")
        self.left = left

    def __getattribute__(self, name: str) -> object:
        found = super().__getattribute__(name)
        return partial(self._counted, found) if name in OPERATIONS else found

    def _counted(self, operation: Callable[..., object], *arguments: object, **named: object) -> object:
        if self.left[0] == 0:
            raise Dead("killed")
        self.left[0] -= 1
        return operation(*arguments, **named)


def wanted(index: int) -> ConversionRequest:
    return msgspec.structs.replace(request(prefix="pvc://data/in/"), shard=Shard(index, 2))


def live(claim: Path, index: int, operations: int, monkeypatch, scratch: Path) -> int:
    """A server does a shard until its end or its death; how many operations it made."""
    left = [operations]

    def opened(uri: str, *_: object, **__: object) -> tuple[Mortal, str]:
        return Mortal(claim, left), uri.removeprefix("pvc://data/")

    monkeypatch.setattr(run, "open_store", opened)
    monkeypatch.setattr(inputs, "open_store", opened)
    copier = Copier()
    copier.gate.set()
    voices = Voices(lambda *_: copier, scratch / "voices", None)
    conversion = Conversion("u1", wanted(index), voices, scratch, lambda result: None)
    with suppress(StoreUnavailable):
        for _ in conversion.steps():
            pass
    return operations - left[0]


def test_whatever_is_the_last_thing_it_does(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "SECONDS_BETWEEN_RECORDS", 0.0)
    monkeypatch.setattr(run, "RECORDS_SHARE", float("inf"))

    def check(deaths: tuple[int, int]) -> tuple[int, int]:
        """Both shards are begun by servers that die so soon, and done by others; operations of the first."""
        name = f"{deaths[0]}-{deaths[1]}"
        claim = tmp_path / name
        scratch = tmp_path / f"scratch-{name}"
        (claim / "in").mkdir(parents=True)
        scratch.mkdir()
        for number in range(FILES):
            soundfile.write(claim / f"in/{number}.wav", voice_like(0.05, 200 + number), 16000)
        done = tuple(live(claim, index, deaths[index], monkeypatch, scratch) for index in range(2))
        complete = deaths[0] > done[0] and deaths[1] > done[1]
        assert (claim / "out/_conversion/u1/results.json").exists() or not complete
        for index in (1, 0):
            live(claim, index, 10**6, monkeypatch, scratch)
        lines = (claim / "out/_conversion/u1/results.jsonl").read_bytes().splitlines()
        sources = [msgspec.json.decode(line)["source"]["name"] for line in lines]
        assert sources == [f"{number}.wav" for number in range(FILES)]
        summary = msgspec.json.decode((claim / "out/_conversion/u1/results.json").read_bytes())
        assert summary["files"]["succeeded"] == FILES
        assert sorted(path.name for path in (claim / "out").glob("*.wav")) == sources
        return done

    alone = check((10**6, 10**6))
    assert min(alone) > 10
    for operations in range(1, alone[0] + 1):
        check((operations, 0))
    for operations in range(1, alone[1] + 1):
        check((10**6, operations))
