"""The cache: the newest state wins, whoever brings it; and whom a change concerns."""

from typing import Any

import pytest

from rvc_operator.runtime.cache import Cache, Change, Key, Kind
from rvc_operator.runtime.routing import affected

Body = dict[str, Any]
ALICE = Key(Kind.VOICE, "test", "alice")


def thing(name: str, version: int, uid: str = "1", **more: Any) -> Body:
    metadata = {
        "name": name,
        "namespace": "test",
        "uid": uid,
        "resourceVersion": str(version),
        "creationTimestamp": f"2026-01-01T00:00:{version:02}Z",
        "generation": 1,
        "managedFields": [{"large": "and useless"}],
    }
    return {"metadata": metadata | more.pop("metadata", {})} | more


def conversion(name: str, version: int, pod: str | None = None, voice: str = "alice") -> Body:
    status = {"shards": [{"index": 0, "assignment": {"podUID": pod}}]} if pod else {}
    return thing(name, version, spec={"voiceModelRef": {"name": voice}}, status=status)


def server(version: int, ready: bool = True) -> Body:
    labels = {"voice.rvc.dev/voice": "alice", "voice.rvc.dev/component": "server"}
    status = {
        "phase": "Running",
        "podIP": "10.0.0.1",
        "conditions": [{"type": "Ready", "status": str(ready)}],
    }
    return thing("server", version, uid="pod", metadata={"labels": labels}, status=status)


def test_older_news_is_no_news() -> None:
    cache = Cache()
    assert cache.store(Kind.VOICE, thing("alice", 10)) is not None
    assert cache.store(Kind.VOICE, thing("alice", 10)) is None
    assert cache.store(Kind.VOICE, thing("alice", 9)) is None
    assert cache.store(Kind.VOICE, thing("alice", 11)) is not None


def test_what_is_large_and_useless_is_not_kept() -> None:
    cache = Cache()
    cache.store(Kind.VOICE, thing("alice", 1))
    assert "managedFields" not in (cache.get(ALICE) or {})["metadata"]


def test_the_deletion_of_a_namesake_is_not_ours() -> None:
    cache = Cache()
    cache.store(Kind.VOICE, thing("alice", 10, uid="2"))
    assert cache.remove(Kind.VOICE, thing("alice", 11, uid="1")) is None
    assert cache.remove(Kind.VOICE, thing("alice", 11, uid="2")) is not None
    assert cache.get(ALICE) is None


def test_a_listing_removes_what_is_gone_but_not_what_came_after_it() -> None:
    cache = Cache()
    cache.store(Kind.VOICE, thing("gone", 5))
    cache.store(Kind.VOICE, thing("new", 20))
    cache.store(Kind.JOB, thing("other-kind", 1))
    changes = list(cache.replace(Kind.VOICE, frozenset(), [thing("listed", 7)], "10"))
    assert sorted(change.key.name for change in changes) == ["gone", "listed"]
    assert sorted(key.name for key in cache.keys(Kind.VOICE)) == ["listed", "new"]
    assert len(cache.keys(Kind.JOB)) == 1


def test_a_listing_of_one_namespace_says_nothing_about_others() -> None:
    cache = Cache()
    cache.store(Kind.VOICE, thing("alice", 5))
    assert list(cache.replace(Kind.VOICE, frozenset({"elsewhere"}), [], "10")) == []


def test_objects_are_found_by_their_voice() -> None:
    cache = Cache()
    cache.store(Kind.CONVERSION, conversion("b", 1))
    cache.store(Kind.CONVERSION, conversion("a", 2))
    cache.store(Kind.CONVERSION, conversion("c", 3, voice="bob"))
    found = cache.of_voice(Kind.CONVERSION, "test", "alice")
    assert [body["metadata"]["name"] for body in found] == ["a", "b"]


def names(cache: Cache, change: Change | None) -> list[str]:
    assert change is not None
    return [key.name for key in affected(cache, change)]


def test_a_child_concerns_its_voice() -> None:
    cache = Cache()
    job = thing("job", 1, metadata={"labels": {"voice.rvc.dev/voice": "alice"}})
    assert names(cache, cache.store(Kind.JOB, job)) == ["alice"]


def test_a_server_concerns_those_that_it_serves_and_those_that_wait() -> None:
    cache = Cache()
    for body in (conversion("served", 1, "pod"), conversion("waits", 2), conversion("elsewhere", 3, "x")):
        cache.store(Kind.CONVERSION, body)
    assert names(cache, cache.store(Kind.POD, server(10))) == ["alice", "served", "waits"]
    # Nothing that a Conversion looks at has changed.
    assert names(cache, cache.store(Kind.POD, server(11))) == ["alice"]
    assert names(cache, cache.store(Kind.POD, server(12, ready=False))) == ["alice", "served", "waits"]


def test_room_is_offered_to_the_oldest_only() -> None:
    cache = Cache()
    for version in range(1, 20):
        cache.store(Kind.CONVERSION, conversion(f"c{version:02}", version))
    cache.store(Kind.CONVERSION, conversion("busy", 30, "pod"))
    finished = conversion("busy", 31) | {"status": {"completionTime": "2026-01-01T00:00:00Z"}}
    assert names(cache, cache.store(Kind.CONVERSION, finished)) == ["alice", "c01", "c02"]


@pytest.mark.parametrize(
    "change",
    [{"training": {"epoch": 2}}, {"serving": {"replicas": 1}}, {"conditions": [{"message": "more"}]}],
)
def test_a_voice_s_progress_concerns_nobody(change: Body) -> None:
    cache = Cache()
    cache.store(Kind.CONVERSION, conversion("waits", 1))
    said = {"type": "Ready", "status": "Unknown", "reason": "Training", "message": "some"}
    cache.store(Kind.VOICE, thing("alice", 2, status={"conditions": [said]}))
    conditions = [said | one for one in change.get("conditions", [{}])]
    told = thing("alice", 3, status=change | {"conditions": conditions})
    assert names(cache, cache.store(Kind.VOICE, told)) == []
    ready = thing("alice", 4, status={"conditions": [said | {"status": "True"}]})
    assert names(cache, cache.store(Kind.VOICE, ready)) == ["waits"]
