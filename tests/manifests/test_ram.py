"""RAM policies hold exactly what our code asks of OSS: its requests are noted, and tried with each policy."""

from __future__ import annotations

import ast
import json
import re
import time
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import oss2
import pytest

from rvc.contract import StoreSettings
from rvc.errors import PermissionDenied
from rvc.store.oss import upload
from rvc.store.oss.store import OssStore
from tests.oss import KEY_ID, KEY_SECRET, Account, Fault, OssServer

from .documents import MANIFESTS, ROOT, build

FOLDER = MANIFESTS / "ram"
POLICIES = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
TRUST = POLICIES.pop("trust")
BUCKET = "acs:oss:*:*:BUCKET"
ACTIONS = {
    "PutObject": "oss:PutObject",
    "InitiateMultipartUpload": "oss:PutObject",
    "UploadPart": "oss:PutObject",
    "CompleteMultipartUpload": "oss:PutObject",
    "AbortMultipartUpload": "oss:AbortMultipartUpload",
    "GetObject": "oss:GetObject",
    "HeadObject": "oss:GetObject",
    "DeleteObject": "oss:DeleteObject",
    "ListObjectsV2": "oss:ListObjects",
    "ListMultipartUploads": "oss:ListMultipartUploads",
}
"""The right that each operation needs, by OSS's documentation."""
CODE = {
    "trainer": ("trainer-image/rvc_trainer", "rvc/voice/publish.py", "rvc/base_models/stored.py"),
    "server": ("inference-image/rvc_inference", "rvc/base_models/stored.py"),
}
"""Where the pods of a policy speak with a store."""


def allowed(policy: dict[str, Any], operation: str, subject: str) -> bool:
    """Whether RAM lets a request pass; the subject is a key, or of a listing the prefix."""
    lists = operation in ("ListObjectsV2", "ListMultipartUploads")
    resource = BUCKET if lists else f"{BUCKET}/{subject}"
    return any(
        ACTIONS[operation] in statement["Action"]
        and any(fnmatchcase(resource, pattern) for pattern in statement["Resource"])
        and any(
            fnmatchcase(subject, pattern)
            for pattern in statement.get("Condition", {}).get("StringLike", {}).get("oss:Prefix", ["*"])
        )
        for statement in policy["Statement"]
    )


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OssServer]:
    monkeypatch.setattr(upload, "PART_BYTES", 1 << 17)
    with OssServer(["bucket"]) as server:
        yield server


def opened(server: OssServer) -> OssStore:
    keys = {"OSS_ACCESS_KEY_ID": KEY_ID, "OSS_ACCESS_KEY_SECRET": KEY_SECRET}
    return OssStore("bucket", StoreSettings(server.endpoint, server.region), keys)


def upload_large(store: OssStore, key: str, folder: Path) -> None:
    path = folder / "large"
    path.write_bytes(bytes(300_000))
    store.upload(path, key)


def begin_upload(server: OssServer, store: OssStore, key: str, folder: Path) -> None:
    """A multipart upload that nobody ends."""
    server.faults.add(Fault("CompleteMultipartUpload", status=400, code="InvalidArgument"))
    server.faults.add(Fault("AbortMultipartUpload", status=400, code="InvalidArgument"))
    with pytest.raises(Exception, match="InvalidArgument"):
        upload_large(store, key, folder)
    server.faults.clear()


@pytest.fixture
def needed(server: OssServer, tmp_path: Path) -> dict[str, set[str]]:
    """Each method of a store, and the rights that its requests need, failures and what follows included."""
    store, found = opened(server), {}

    def record(name: str, *calls: Callable[[], object]) -> None:
        begin = len(server.operations)
        for call in calls:
            call()
        found[name] = {ACTIONS[operation.name] for operation in server.operations[begin:]}

    record("write_bytes", lambda: store.write_bytes("a", b"1"))
    record(
        "upload",
        lambda: upload_large(store, "b", tmp_path),
        lambda: begin_upload(server, store, "c", tmp_path),
        lambda: store.upload(tmp_path / "large", "b", overwrite=False),
    )
    record("stat", lambda: store.stat("a"))
    record("read_bytes", lambda: store.read_bytes("a"))
    record("download", lambda: store.download("b", tmp_path / "back"))
    record("list", lambda: list(store.list("")))
    record("sweep", lambda: store.sweep("", time.time() + 60))
    record("delete", lambda: store.delete("a"))
    found["presigned_url"] = {"oss:GetObject"}
    return found


def called(role: str, methods: set[str]) -> set[str]:
    """Methods of a store that the code of a role calls."""
    paths = [path for part in CODE[role] for path in ([ROOT / part, *(ROOT / part).rglob("*.py")])]
    trees = [ast.parse(path.read_text()) for path in paths if path.suffix == ".py"]
    nodes = (node for tree in trees for node in ast.walk(tree))
    names = {node.func.attr for node in nodes if isinstance(node, ast.Call) and hasattr(node.func, "attr")}
    return names & methods


def actions(policy: dict[str, Any]) -> set[str]:
    return {action for statement in policy["Statement"] for action in statement["Action"]}


@pytest.mark.parametrize("role", CODE)
def test_a_policy_has_the_rights_that_the_code_needs_and_no_others(
    role: str, needed: dict[str, set[str]]
) -> None:
    methods = called(role, set(needed))
    assert actions(POLICIES[role]) == set().union(*(needed[method] for method in methods)), methods


def test_cleaning_up_can_only_list_and_delete(needed: dict[str, set[str]]) -> None:
    assert actions(POLICIES["clean-up"]) == needed["list"] | needed["delete"] | needed["sweep"]


@pytest.mark.parametrize("role", POLICIES)
def test_what_a_role_does_goes_through(role: str, server: OssServer, tmp_path: Path) -> None:
    store = opened(server)
    for key in ("recordings/a/1.wav", "downloads/a.pth", "base-models/manifest.json", "inbox/a/1.wav"):
        store.write_bytes(key, b"1")
    store.write_bytes("models/default/a/0/manifest.json", b"1")
    begin_upload(server, store, "models/default/a/0/voice", tmp_path)
    server.accounts[KEY_ID] = Account(KEY_SECRET, allows=lambda *asked: allowed(POLICIES[role], *asked))
    if role == "trainer":
        for key in ("recordings/a/1.wav", "downloads/a.pth", "base-models/manifest.json"):
            assert store.read_bytes(key) == b"1"
        assert [found.key for found in store.list("recordings/a/")] == ["recordings/a/1.wav"]
        assert store.sweep("models/default/a/0/", time.time() + 60) == 1
        upload_large(store, "models/default/a/1/voice", tmp_path)
        store.write_bytes("models/default/a/1/manifest.json", b"1", overwrite=False)
        store.delete("models/default/a/1/checkpoints/1")
    elif role == "server":
        for key in ("models/default/a/0/manifest.json", "base-models/manifest.json", "inbox/a/1.wav"):
            assert store.read_bytes(key) == b"1"
        assert [found.key for found in store.list("inbox/a/")] == ["inbox/a/1.wav"]
        upload_large(store, "converted/a/1.wav", tmp_path)
        assert store.stat("converted/a/2.wav") is None
        store.write_bytes("converted/a/_conversion/0/begun.json", b"1")
        assert [found.key for found in store.list("converted/a/_conversion/")]
        store.delete("converted/a/_conversion/0/begun.json")
        assert store.sweep("converted/a/", time.time() + 60) == 0
    else:
        keys = [found.key for found in store.list("models/default/a/")]
        assert len(keys) == store.sweep("models/default/a/", time.time() + 60) == 1
        store.delete(keys[0])


@pytest.mark.parametrize(
    ("role", "operation", "subject"),
    [
        ("trainer", "PutObject", "recordings/a/1.wav"),
        ("trainer", "DeleteObject", "recordings/a/1.wav"),
        ("trainer", "GetObject", "inbox/1.wav"),
        ("trainer", "PutObject", "models-of-others/a"),
        ("trainer", "ListObjectsV2", ""),
        ("trainer", "ListObjectsV2", "inbox/"),
        ("server", "PutObject", "models/default/a/0/manifest.json"),
        ("server", "GetObject", "recordings/a/1.wav"),
        ("server", "DeleteObject", "converted/a/1.wav"),
        ("server", "DeleteObject", "inbox/a/1.wav"),
        ("server", "ListObjectsV2", ""),
        ("server", "ListObjectsV2", "models/"),
        ("clean-up", "GetObject", "models/default/a/0/manifest.json"),
        ("clean-up", "PutObject", "models/default/a/0/manifest.json"),
        ("clean-up", "DeleteObject", "recordings/a/1.wav"),
        ("clean-up", "ListObjectsV2", "recordings/"),
    ],
)
def test_what_a_role_has_no_business_with_is_refused(role: str, operation: str, subject: str) -> None:
    assert not allowed(POLICIES[role], operation, subject)


def test_a_refusal_is_told_as_what_to_do(server: OssServer) -> None:
    server.accounts[KEY_ID] = Account(KEY_SECRET, allows=lambda *asked: allowed(POLICIES["server"], *asked))
    with pytest.raises(PermissionDenied, match=r"oss://bucket/models/.*manifests/ram"):
        opened(server).write_bytes("models/default/a/0/manifest.json", b"1")


def test_policies_are_about_one_bucket_and_list_by_prefix() -> None:
    for policy in POLICIES.values():
        assert policy["Version"] == "1"
        for statement in policy["Statement"]:
            assert statement["Effect"] == "Allow"
            assert all(re.fullmatch(r"oss:[A-Za-z]+", action) for action in statement["Action"])
            assert all(re.fullmatch(rf"{re.escape(BUCKET)}(/\w.*/\*)?", one) for one in statement["Resource"])
            assert ("oss:ListObjects" in statement["Action"]) == ("Condition" in statement)


def test_only_the_service_account_of_the_acs_overlay_is_trusted() -> None:
    (statement,) = TRUST["Statement"]
    assert (statement["Action"], list(statement["Principal"])) == ("sts:AssumeRole", ["Federated"])
    (account,) = (
        item["metadata"]
        for item in build(MANIFESTS / "overlays/acs")
        if item["kind"] == "ServiceAccount" and "annotations" in item["metadata"]
    )
    conditions = statement["Condition"]["StringEquals"]
    assert conditions["oidc:sub"] == f"system:serviceaccount:{account['namespace']}:{account['name']}"
    assert conditions["oidc:aud"] == "sts.aliyuncs.com"
    assert conditions["oidc:iss"]


def test_every_placeholder_is_explained() -> None:
    text = (FOLDER / "README.md").read_text()
    for path in FOLDER.glob("*.json"):
        assert path.name in text
        for placeholder in re.findall(r"[A-Z]+(?:_[A-Z]+)+|BUCKET", path.read_text()):
            assert f"`{placeholder}`" in text


def test_the_lifecycle_rule_ends_uploads_and_deletes_nothing() -> None:
    rules = oss2.models.BucketLifecycle()
    oss2.xml_utils.parse_get_bucket_lifecycle(rules, (FOLDER / "lifecycle.xml").read_bytes())
    (rule,) = rules.rules
    assert (rule.prefix, rule.status) == ("", "Enabled")
    assert rule.abort_multipart_upload.days == 7
    assert rule.expiration is None
