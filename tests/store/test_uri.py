import pytest

from rvc.errors import InvalidConfiguration, ObjectNotFound
from rvc.store import open_store


@pytest.fixture(autouse=True)
def claims(tmp_path, monkeypatch):
    monkeypatch.setenv("RVC_CLAIMS_FOLDER", str(tmp_path))
    (tmp_path / "recordings" / "ann").mkdir(parents=True)
    (tmp_path / "recordings" / "ann" / "50% #1.wav").write_text("sound")
    return tmp_path


def test_claims_are_folders_below_the_claims_folder():
    store, prefix = open_store("pvc://recordings/ann/")
    assert prefix == "ann/"
    assert [found.key for found in store.list(prefix)] == ["ann/50% #1.wav"]
    store, key = open_store("pvc://recordings/ann/50% #1.wav")
    assert store.read_bytes(key) == b"sound"


@pytest.mark.parametrize("uri", ["pvc://recordings", "pvc://recordings/"])
def test_a_whole_claim(uri):
    store, prefix = open_store(uri)
    assert [found.key for found in store.list(prefix)] == ["ann/50% #1.wav"]


def test_files_are_paths(claims):
    store, key = open_store(f"file://{claims}/recordings/ann/50% #1.wav")
    assert store.read_bytes(key) == b"sound"


def test_a_claim_that_is_not_mounted():
    with pytest.raises(ObjectNotFound, match="claim nowhere is not mounted") as caught:
        open_store("pvc://nowhere/x")
    assert caught.value.reason == "ClaimNotMounted"


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("oss://Not_A_Bucket/key", "no name of a bucket"),
        ("oss:///key", "no name of a bucket"),
        ("oss://bucket/a//b", "'//'"),
        ("s3://bucket/key", "no kind of storage"),
        ("/data/x", "no URI"),
        ("", "no URI"),
        ("file://host/x", "three slashes"),
        ("pvc:///x", "no name of a PersistentVolumeClaim"),
        ("pvc://Not_A_Claim/x", "no name of a PersistentVolumeClaim"),
        ("pvc://../x", "no name of a PersistentVolumeClaim"),
        ("pvc://recordings/../other/x", r"without '\.\.'"),
        ("pvc://recordings//x", "'//'"),
    ],
)
def test_uris_that_are_none(uri, message):
    with pytest.raises(InvalidConfiguration, match=message):
        open_store(uri)
