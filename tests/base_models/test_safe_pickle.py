import io
import os
import pickle
import tracemalloc
import zipfile
from pathlib import Path

import pytest
import torch

from rvc.errors import ArtifactCorrupt, ObjectNotFound
from rvc.inert_pickle import UNSAFE_PICKLE
from rvc.safe_pickle import load_torch_file


class Caller:
    """What a pickle can do: call any function with any arguments when it is read."""

    def __init__(self, function, *arguments) -> None:
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def torch_file(content: object, zipped: bool = True, protocol: int = 2) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_and_values_come_out_as_they_went_in(tmp_path, zipped):
    content = {"weight": {"w": torch.arange(6.0).reshape(2, 3).half()}, "config": [1, "1", [2, 3]], "f0": 1}
    path = tmp_path / "voice.pth"
    path.write_bytes(torch_file(content, zipped))
    for source in (path, path.read_bytes()):
        read = load_torch_file(source)
        torch.testing.assert_close(read.pop("weight"), content["weight"])
        assert read == {"config": [1, "1", [2, 3]], "f0": 1}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    ("function", "name"), [(os.system, f"{os.name}.system"), (eval, "eval"), (Path, "pathlib")]
)
def test_a_file_that_calls_something_is_refused_by_name_and_runs_nothing(tmp_path, function, name, zipped):
    trace = tmp_path / "trace"
    command = f"touch {trace}" if function is os.system else f"open({str(trace)!r}, 'w')"
    path = tmp_path / "evil.pth"
    path.write_bytes(torch_file({"weight": {}, "info": Caller(function, command)}, zipped))
    with pytest.raises(ArtifactCorrupt, match=rf"evil\.pth refers to {name}") as refusal:
        load_torch_file(path)
    assert refusal.value.reason == UNSAFE_PICKLE
    assert not trace.exists()


@pytest.mark.parametrize("write", [pickle.dumps, lambda content: torch_file(content, protocol=4)])
def test_newer_pickles_are_refused_by_name_too(tmp_path, write):
    content = write({"info": Caller(os.system, f"touch {tmp_path / 'trace'}")})
    with pytest.raises(ArtifactCorrupt, match=rf"evil\.pth refers to {os.name}\.system") as refusal:
        load_torch_file(content, "evil.pth")
    assert refusal.value.reason == UNSAFE_PICKLE
    assert not (tmp_path / "trace").exists()


def peak_of_refusing(path: Path) -> int:
    """Bytes that Python held at most while it refused a file by name."""
    tracemalloc.start()
    try:
        with pytest.raises(ArtifactCorrupt, match=rf"refers to {os.name}\.system"):
            load_torch_file(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_tensors_are_not_read_to_name_what_is_refused(tmp_path):
    path = tmp_path / "evil.pth"
    evil = Caller(os.system, "true")
    path.write_bytes(torch_file({"info": evil, "w": torch.zeros(8 << 20)}, protocol=4))
    assert peak_of_refusing(path) < 4 << 20


def test_of_a_file_that_is_no_archive_only_the_beginning_is_read_to_name_it(tmp_path):
    path = tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps({"info": Caller(os.system, "true")}))
    os.truncate(path, 256 << 20)
    assert peak_of_refusing(path) < 64 << 20


@pytest.mark.parametrize("size", [0, 4, 300, -1])
def test_a_damaged_file_says_so_without_advice_to_trust_it(size):
    whole = torch_file({"w": torch.zeros(100)})
    with pytest.raises(ArtifactCorrupt, match=r"cut\.pth is no PyTorch file, or damaged") as refusal:
        load_torch_file(whole[:size], "cut.pth")
    assert refusal.value.reason == ArtifactCorrupt.reason
    assert "weights_only" not in str(refusal.value)


def test_other_content_and_absent_files_are_told_apart(tmp_path):
    with pytest.raises(ArtifactCorrupt, match="list, not named tensors"):
        load_torch_file(torch_file([torch.zeros(1)]))
    with pytest.raises(ArtifactCorrupt, match="no PyTorch file"):
        load_torch_file(pickle.dumps("text", protocol=2))
    with pytest.raises(ObjectNotFound, match=r"no\.pth does not exist"):
        load_torch_file(tmp_path / "no.pth")


def too_deep(zipped: bool) -> bytes:
    """A file whose dict has a key of very many tuples, one in the other."""
    deep = b"\x80\x02}N" + b"\x85" * 1_000_000 + b"Ns."
    if not zipped:
        marks = [pickle.dumps(value, 2) for value in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
        return b"".join([*marks, deep, pickle.dumps([], 2)])
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in {"data.pkl": deep, "version": b"3\n", "byteorder": b"little"}.items():
            archive.writestr(f"archive/{name}", data)
    return buffer.getvalue()


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_would_overflow_the_stack_is_refused(tmp_path, zipped):
    path = tmp_path / "deep.pth"
    path.write_bytes(too_deep(zipped))
    for source in (path, path.read_bytes()):
        with pytest.raises(ArtifactCorrupt, match="more than 50000 tuples"):
            load_torch_file(source, "deep.pth")


def test_a_compressed_archive_is_refused():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * 10**6)
    with pytest.raises(ArtifactCorrupt, match="compressed"):
        load_torch_file(buffer.getvalue(), "bomb.pth")
