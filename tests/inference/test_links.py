"""Links on request: to each output, good for as long as was said, and nowhere but in the list of results."""

import re
from collections.abc import Iterator

import httpx
import msgspec
import pytest

from rvc.contract import ConversionRequest, ConversionState, Shard, StoreSettings
from rvc.errors import InvalidConfiguration
from rvc.store import FolderStore
from rvc.store.oss.store import OssStore
from tests.inference.servers import VOICE, Server, request, serving
from tests.inference.test_oss import FILES, OUTPUTS, oss, results
from tests.oss import REGION, OssServer
from tests.store.support import SimulatedTime, open_oss

__all__ = ["oss"]

SIGNATURE = re.compile("x-oss-signature", re.IGNORECASE)


@pytest.fixture
def server(copier, oss, tmp_path) -> Iterator[Server]:
    copier.gate.set()
    with serving(lambda *_: copier, tmp_path / "scratch") as server:
        yield server


def wanted(oss: OssServer, seconds: int = 3600) -> ConversionRequest:
    store = StoreSettings(endpoint=oss.endpoint, region=REGION)
    voice = msgspec.structs.replace(VOICE, store=store)
    asked = request(prefix="oss://voices/in/", output="oss://voices/out/", voice=voice)
    output = msgspec.structs.replace(asked.output, signed_links_seconds=seconds)
    return msgspec.structs.replace(asked, output=output)


def content(oss: OssServer, key: str) -> bytes:
    return b"".join(oss.buckets["voices"].get(key).body.chunks())


def test_a_link_opens_the_file_without_credentials(server, oss):
    server.put("u1", wanted(oss))
    assert server.ended("u1").state is ConversionState.FINISHED
    lines = results(oss)
    assert [line["output"] for line in lines] == [name.removeprefix("out/") for name in OUTPUTS]
    for line in lines:
        opened = httpx.get(line["link"])
        assert (opened.status_code, opened.content) == (200, content(oss, "out/" + line["output"]))
        assert "x-oss-expires=3600" in line["link"]
    changed = lines[0]["link"].replace("0.wav", "1.wav")
    assert httpx.get(changed).status_code == 403


def test_a_link_ends(server, oss):
    server.put("u1", wanted(oss, 60))
    server.ended("u1")
    [first, *_] = results(oss)
    oss.skew_seconds = 61
    assert httpx.get(first["link"]).status_code == 403


def test_links_are_nowhere_else(server, oss, caplog, capfd):
    caplog.set_level("DEBUG")
    server.put("u1", wanted(oss))
    status = server.ended("u1")
    assert not SIGNATURE.search(msgspec.json.encode(status).decode())
    assert not SIGNATURE.search(caplog.text)
    assert not SIGNATURE.search("".join(capfd.readouterr()))
    assert not SIGNATURE.search(server.client.get("/metrics").text)
    keys = oss.buckets["voices"].keys()
    assert [key for key in keys if SIGNATURE.search(content(oss, key).decode("latin-1"))] == [
        "out/_conversion/u1/results.jsonl"
    ]


def test_shards_have_links_in_the_list_of_all(server, oss):
    for index in range(2):
        server.put("u1", msgspec.structs.replace(wanted(oss), shard=Shard(index, 2)))
    for index in range(2):
        server.ended("u1", index)
    assert all(httpx.get(line["link"]).status_code == 200 for line in results(oss))
    assert len(results(oss)) == FILES


def test_links_are_not_handed_on_to_another_conversion(server, oss):
    server.put("u1", wanted(oss))
    server.ended("u1")
    server.put("u2", msgspec.structs.replace(wanted(oss), output=request(output="oss://voices/out/").output))
    server.ended("u2")
    assert len(results(oss, "u2")) == FILES
    assert not any("link" in line for line in results(oss, "u2"))


def test_without_the_wish_there_are_none(server, oss):
    server.put("u1", wanted(oss, 0))
    server.ended("u1")
    assert not any("link" in line for line in results(oss))


def test_a_volume_has_no_links(server, claim):
    asked = request(prefix="pvc://data/in/")
    output = msgspec.structs.replace(asked.output, signed_links_seconds=60)
    server.put("u1", msgspec.structs.replace(asked, output=output))
    status = server.ended("u1")
    assert (status.reason, status.retriable) == ("ConfigurationInvalid", False)
    assert "oss://" in status.message
    with pytest.raises(InvalidConfiguration, match="no links"):
        FolderStore(claim, "pvc://data/").presigned_url("a.wav", 60)


def test_links_of_a_bucket_that_is_reached_inside_its_region_lead_to_the_public_endpoint():
    settings = StoreSettings(endpoint="oss-cn-wulanchabu-internal.aliyuncs.com", region="cn-wulanchabu")
    store = OssStore("voices", settings, {"OSS_ACCESS_KEY_ID": "id", "OSS_ACCESS_KEY_SECRET": "secret"})
    link = store.presigned_url("out/a b.wav", 10**9)
    assert link.startswith("https://voices.oss-cn-wulanchabu.aliyuncs.com/out/a%20b.wav?")
    assert "x-oss-expires=604800" in link, "no longer than OSS allows"


def test_names_of_all_kinds_are_linked(oss):
    store = open_oss(oss, SimulatedTime())
    for key in ("out/ä ö.wav", "out/100%.wav", "out/a+b&c=d?.wav", "out/说.wav"):
        store.write_bytes(key, b"sound")
        assert httpx.get(store.presigned_url(key, 60)).content == b"sound"
