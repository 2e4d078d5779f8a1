"""Who asks: keys that are missing, wrong, rotated or ended, and what nobody may ever read."""

import logging
import os
import subprocess
import sys
import traceback
from pathlib import Path

import httpx
import pytest

from rvc.contract import StoreSettings
from rvc.errors import PermissionDenied, RvcError, StoreUnavailable
from rvc.store import open_store
from rvc.store.oss.credentials import (
    ROLE_VARIABLES,
    EnvironmentKeys,
    Keys,
    MountedSecret,
    credentials_from,
    role_keys,
)
from rvc.store.oss.store import OssStore
from tests.oss import KEY_ID, KEY_SECRET, REGION, Account, Fault, OssServer
from tests.oss.certificate import tls_for_localhost
from tests.store.support import ENVIRONMENT

ROLE = "acs:ram::1234567890:role/rvc"
TOKEN = "service-account-token-that-nobody-may-see"


def store_for(server: OssServer, environment: dict[str, str], **options) -> OssStore:
    settings = StoreSettings(endpoint=server.endpoint, region=REGION)
    return OssStore("voices", settings, environment, **options)


def mount(folder: Path, generation: str, key_id: str, secret: str) -> Path:
    """A Secret as the kubelet mounts it, and replaces it: one link leads to the files of a generation."""
    (folder / generation).mkdir(parents=True)
    (folder / generation / "akId").write_text(key_id)
    (folder / generation / "akSecret").write_text(secret + "\n")
    (folder / "..new").symlink_to(generation)
    (folder / "..new").replace(folder / "..data")
    for name in ("akId", "akSecret"):
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
    return folder


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "oss://voices/: there are no credentials for OSS; set spec.storage.secretRef"),
        ({}, r"serviceAccountName \(RRSA: .*/injection=on.*/role-name.*ack-pod-identity-webhook.*new pod"),
        ({"OSS_ACCESS_KEY_ID": KEY_ID}, "OSS_ACCESS_KEY_SECRET is empty or not there"),
        ({"OSS_ACCESS_KEY_SECRET": KEY_SECRET}, "OSS_ACCESS_KEY_ID is empty or not there"),
        ({"OSS_ACCESS_KEY_ID": " ", "OSS_ACCESS_KEY_SECRET": KEY_SECRET}, "OSS_ACCESS_KEY_ID is empty"),
        ({"RVC_OSS_SECRET_FOLDER": "/nonexistent"}, "/nonexistent/akId and /nonexistent/akSecret is empty"),
        (dict.fromkeys(ROLE_VARIABLES[:2], "x"), "ALIBABA_CLOUD_OIDC_TOKEN_FILE is not set"),
        (
            dict.fromkeys(ROLE_VARIABLES, "/nonexistent/token"),
            "the service account's token /nonexistent/token cannot be read",
        ),
    ],
)
def test_missing_credentials_are_named(server, environment, message):
    with pytest.raises(PermissionDenied, match=message) as caught:
        store_for(server, environment).stat("a")
    assert caught.value.reason == "CredentialsMissing"
    assert "oss://voices/" in str(caught.value)


@pytest.mark.parametrize(
    ("key_id", "secret", "code"),
    [(KEY_ID, "wrong", "SignatureDoesNotMatch"), ("nobody", KEY_SECRET, "InvalidAccessKeyId")],
)
def test_wrong_keys_say_what_to_do(server, key_id, secret, code):
    store = store_for(server, {"OSS_ACCESS_KEY_ID": key_id, "OSS_ACCESS_KEY_SECRET": secret})
    for operation in (lambda: store.stat("a"), lambda: store.write_bytes("a", b"")):
        with pytest.raises(PermissionDenied, match=rf"oss://voices/a: .*correct akId and akSecret.*{code}"):
            operation()
    assert len(server.operations) == 2, "nothing was repeated"


def test_keys_of_a_session(server):
    server.accounts["STS.1"] = Account("secret", token="token")
    keys = {"OSS_ACCESS_KEY_ID": "STS.1", "OSS_ACCESS_KEY_SECRET": "secret"}
    store_for(server, keys | {"OSS_SESSION_TOKEN": "token"}).write_bytes("a", b"")
    with pytest.raises(PermissionDenied, match="InvalidSecurityToken"):
        store_for(server, keys).stat("a")
    server.accounts["STS.1"] = Account("secret", token="token", expires=0.0)
    with pytest.raises(PermissionDenied, match="SecurityTokenExpired"):
        store_for(server, keys | {"OSS_SESSION_TOKEN": "token"}).stat("a")


def test_links_with_the_keys_of_a_session(server):
    server.accounts["STS.1"] = Account("secret", token="to/k+e n=&")
    keys = {
        "OSS_ACCESS_KEY_ID": "STS.1",
        "OSS_ACCESS_KEY_SECRET": "secret",
        "OSS_SESSION_TOKEN": "to/k+e n=&",
    }
    store = store_for(server, keys)
    store.write_bytes("a", b"content")
    assert httpx.get(store.presigned_url("a", 60)).content == b"content"


def test_a_link_without_keys_says_for_what_they_are_missing(server):
    with pytest.raises(PermissionDenied, match=r"^oss://voices/a: .*akId .* into the Secret"):
        store_for(server, {"RVC_OSS_SECRET_FOLDER": "/nonexistent"}).presigned_url("a", 60)


def test_a_secret_that_is_emptied_says_for_what_it_is_missing(server, tmp_path):
    folder = mount(tmp_path / "secret", "..1", KEY_ID, KEY_SECRET)
    store = store_for(server, {"RVC_OSS_SECRET_FOLDER": str(folder)})
    server.after_operation = lambda operation: mount(folder, "..2", "", "")
    server.accounts = {}
    with pytest.raises(PermissionDenied, match=r"^oss://voices/a: .*akSecret is empty .*into the Secret"):
        store.stat("a")


def test_a_rotated_secret_is_read_again(server, tmp_path):
    folder = mount(tmp_path / "secret", "..1", KEY_ID, KEY_SECRET)
    store = store_for(server, {"RVC_OSS_SECRET_FOLDER": str(folder)})
    store.write_bytes("a", b"content")
    server.accounts = {"new": Account("new-secret")}
    with pytest.raises(PermissionDenied):
        store.stat("a")
    mount(folder, "..2", "new", "new-secret")
    assert store.read_bytes("a") == b"content"


def test_a_secret_that_rotates_between_signing_and_answer(server, tmp_path):
    folder = mount(tmp_path / "secret", "..1", KEY_ID, KEY_SECRET)
    store = store_for(server, {"RVC_OSS_SECRET_FOLDER": str(folder)})

    def rotate(operation) -> None:
        server.after_operation = None
        server.accounts["new"] = Account("new-secret")
        mount(folder, "..2", "new", "new-secret")

    server.after_operation = rotate
    server.accounts = {}
    store.write_bytes("a", b"content")
    assert [entry.key_id for entry in server.operations] == ["", "new"]


@pytest.fixture
def sts(tmp_path, monkeypatch):
    """A server that gives sessions of a role, over TLS as STS does, and an environment that asks it."""
    tls, authority = tls_for_localhost(tmp_path)
    monkeypatch.setattr("certifi.where", lambda: str(authority))
    (tmp_path / "token").write_text(TOKEN)
    with OssServer(roles={ROLE: TOKEN}, tls=tls) as sts:
        yield sts


def role(sts: OssServer, tmp_path: Path):
    endpoint = f"localhost:{sts.port}"
    return role_keys(ROLE, "acs:ram::1:oidc-provider/ack", str(tmp_path / "token"), "rvc", endpoint)


class TestRole:
    def test_its_session_is_used_and_renewed_when_it_is_refused(self, server, sts, tmp_path):
        store = store_for(server, {}, credentials=role(sts, tmp_path))
        server.accounts = sts.accounts
        store.write_bytes("a", b"content")
        server.faults.add(Fault(expire_token=True))
        assert store.read_bytes("a") == b"content"
        first, refused, second = (entry.key_id for entry in server.operations)
        assert first.startswith("STS.")
        assert refused == "" != second != first

    def test_a_role_that_does_not_trust_us(self, server, sts, tmp_path):
        sts.roles[ROLE] = "another token"
        with pytest.raises(PermissionDenied, match=f"STS refuses the role {ROLE}.*NoPermission") as caught:
            store_for(server, {}, credentials=role(sts, tmp_path)).stat("a")
        assert TOKEN not in "".join(traceback.format_exception(caught.value))

    def test_sts_that_does_not_answer_is_waited_for(self, server, clock, tmp_path, caplog):
        caplog.set_level(logging.DEBUG)
        (tmp_path / "token").write_text(TOKEN)
        keys = role_keys(ROLE, "acs:ram::1:oidc-provider/ack", str(tmp_path / "token"), "rvc", "localhost:1")
        with pytest.raises(StoreUnavailable, match=r"oss://voices/a: STS.*CLOUD_STS_REGION") as caught:
            store_for(server, {}, credentials=keys, waiting=clock.waiting).stat("a")
        assert 600 < clock.seconds <= 900
        assert TOKEN not in "".join(traceback.format_exception(caught.value)) + caplog.text


class TestSecretsStaySecret:
    def test_in_what_is_printed(self, tmp_path):
        keys = Keys("id", "the-secret", "the-token")
        source = EnvironmentKeys({"OSS_ACCESS_KEY_SECRET": "the-secret"})
        printed = f"{keys!r} {keys} {source!r} {MountedSecret(tmp_path)!r}"
        assert "the-secret" not in printed
        assert "the-token" not in printed

    @pytest.mark.parametrize("code", ["SignatureDoesNotMatch", "AccessDenied", "SlowDown", "Unheard"])
    def test_in_errors_and_logs(self, server, clock, caplog, code):
        caplog.set_level(logging.DEBUG)
        server.accounts["STS.1"] = Account("the-secret", token="the-token")
        environment = {
            "OSS_ACCESS_KEY_ID": "STS.1",
            "OSS_ACCESS_KEY_SECRET": "the-secret",
            "OSS_SESSION_TOKEN": "the-token",
        }
        store = store_for(server, environment, waiting=clock.waiting)
        server.faults.add(Fault(status=403 if code != "SlowDown" else 503, code=code, times=1000))
        with pytest.raises(RvcError) as caught:
            store.read_bytes("a")
        told = "".join(traceback.format_exception(caught.value)) + caplog.text + repr(vars(store))
        assert "the-secret" not in told
        assert "the-token" not in told


def test_the_environment_decides_in_this_order(tmp_path):
    folder = mount(tmp_path, "..1", "mounted", "x")
    everything = dict.fromkeys(ROLE_VARIABLES, "x") | ENVIRONMENT | {"RVC_OSS_SECRET_FOLDER": str(folder)}
    assert credentials_from(everything).get().key_id == "mounted"
    del everything["RVC_OSS_SECRET_FOLDER"]
    assert credentials_from(everything).get().key_id == KEY_ID


def test_open_store_reads_the_environment(server, monkeypatch):
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    settings = StoreSettings(endpoint=server.endpoint, region=REGION)
    store, key = open_store("oss://voices/ann/a b%20.wav", settings)
    store.write_bytes(key, b"sound")
    assert server.buckets["voices"].keys() == ["ann/a b%20.wav"]
    assert open_store("oss://voices", settings)[1] == ""


def test_folders_need_no_library_of_oss(tmp_path):
    program = (
        "import sys; sys.modules['oss2'] = None\n"
        "from rvc.store import open_store; from rvc.errors import InvalidConfiguration\n"
        f"open_store('file://{tmp_path}/')\n"
        "try: open_store('oss://voices/')\n"
        "except InvalidConfiguration as error: print(error)"
    )
    environment = os.environ | ENVIRONMENT
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
    )
    assert "the package oss2 is not installed; install rvc-operator[oss]" in told.stdout
