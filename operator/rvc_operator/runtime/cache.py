"""The newest known state of every object we look at, fed by watches, by listings and by our own writes.

Own writes are what a plain watch cache lacks: the operator sees what it has just written, so that it
neither repeats a write nor takes a child that it created a moment ago for one that was deleted. Newer is
decided by the resource version, an integer that grows with every write (etcd's revision, and comparable by
Kubernetes' own definition).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

from rvc_operator.api.names import VOICE_LABEL

Body = dict[str, Any]


class Kind(Enum):
    """Kinds of objects: API path prefix, plural, kind."""

    VOICE = ("/apis/voice.rvc.dev/v1alpha1", "voicemodels", "VoiceModel")
    CONVERSION = ("/apis/voice.rvc.dev/v1alpha1", "conversions", "Conversion")
    JOB = ("/apis/batch/v1", "jobs", "Job")
    DEPLOYMENT = ("/apis/apps/v1", "deployments", "Deployment")
    SERVICE = ("/api/v1", "services", "Service")
    POD = ("/api/v1", "pods", "Pod")

    @property
    def prefix(self) -> str:
        """Path of the API group and version."""
        return self.value[0]

    @property
    def plural(self) -> str:
        """Name of the resource in paths."""
        return self.value[1]

    @property
    def kind(self) -> str:
        """Name of the kind in manifests."""
        return self.value[2]

    @property
    def child(self) -> bool:
        """Whether objects of this kind belong to a voice, and carry our labels."""
        return self not in (Kind.VOICE, Kind.CONVERSION)


class Key(NamedTuple):
    """One object."""

    kind: Kind
    namespace: str
    name: str


@dataclass(frozen=True)
class Change:
    """What an update meant: the object before and after, None for absent."""

    key: Key
    before: Body | None
    after: Body | None


class Cache:
    """Objects by key, and by the voice that they belong to."""

    def __init__(self) -> None:
        self._objects: dict[Key, Body] = {}
        self._by_voice: dict[tuple[Kind, str, str], set[Key]] = {}

    def get(self, key: Key) -> Body | None:
        """The object, None if there is none."""
        return self._objects.get(key)

    def of_voice(self, kind: Kind, namespace: str, voice: str) -> list[Body]:
        """Objects of one kind that belong to a voice, by name."""
        keys = sorted(self._by_voice.get((kind, namespace, voice), ()), key=lambda key: key.name)
        return [self._objects[key] for key in keys]

    def keys(self, kind: Kind) -> list[Key]:
        """Every object of a kind."""
        return [key for key in self._objects if key.kind is kind]

    def all(self, kind: Kind) -> list[Body]:
        """Every object of a kind, itself."""
        return [body for key, body in self._objects.items() if key.kind is kind]

    def store(self, kind: Kind, body: Body) -> Change | None:
        """Take an object as it was read or written; None if that is no news."""
        key = key_of(kind, body)
        before = self._objects.get(key)
        if before is not None and version_of(body) <= version_of(before):
            return None
        return self._put(key, before, _trimmed(body))

    def remove(self, kind: Kind, body: Body) -> Change | None:
        """Forget an object that was deleted; a newer one of the same name stays."""
        key = key_of(kind, body)
        before = self._objects.get(key)
        if before is None or _uid(before) != _uid(body):
            return None
        return self._put(key, before, None)

    def replace(
        self, kind: Kind, namespaces: frozenset[str], bodies: Iterable[Body], version: str
    ) -> Iterator[Change]:
        """Take a listing of the namespaces (all if empty) as of resource version `version`.

        What is not listed is gone, unless it came after the listing.
        """
        listed = set()
        for body in bodies:
            listed.add(key_of(kind, body))
            change = self.store(kind, body)
            if change is not None:
                yield change
        for key in self.keys(kind):
            covered = not namespaces or key.namespace in namespaces
            if covered and key not in listed and version_of(self._objects[key]) <= int(version):
                yield self._put(key, self._objects[key], None)

    def _put(self, key: Key, before: Body | None, after: Body | None) -> Change:
        if before is not None:
            self._by_voice[_voice_key(key, before)].discard(key)
            del self._objects[key]
        if after is not None:
            self._by_voice.setdefault(_voice_key(key, after), set()).add(key)
            self._objects[key] = after
        return Change(key, before, after)


def key_of(kind: Kind, body: Mapping[str, Any]) -> Key:
    """Key of an object."""
    return Key(kind, body["metadata"]["namespace"], body["metadata"]["name"])


def voice_of(kind: Kind, body: Body) -> str:
    """Name of the voice that an object is, wants or belongs to; empty for none."""
    if kind is Kind.VOICE:
        return str(body["metadata"]["name"])
    if kind is Kind.CONVERSION:
        return str(body.get("spec", {}).get("voiceModelRef", {}).get("name", ""))
    return str(body["metadata"].get("labels", {}).get(VOICE_LABEL, ""))


def _voice_key(key: Key, body: Body) -> tuple[Kind, str, str]:
    return key.kind, key.namespace, voice_of(key.kind, body)


def version_of(body: Body) -> int:
    """Resource version of an object."""
    return int(body["metadata"]["resourceVersion"])


def _uid(body: Body) -> str:
    return str(body["metadata"]["uid"])


def _trimmed(body: Body) -> Body:
    """Without what is large and never looked at."""
    metadata = {key: value for key, value in body["metadata"].items() if key != "managedFields"}
    return body | {"metadata": metadata}
