"""A checkpoint like fairseq's is written with classes that exist only while it is written."""

import argparse
import enum
import io
import os
import pickle
import subprocess
import sys
import types
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rvc.base_models.fairseq import read_fairseq_model
from rvc.errors import ArtifactCorrupt
from rvc.inert_pickle import UNSAFE_PICKLE, Allowed, Inert, read_pickle

WEIGHTS = OrderedDict(
    {
        "layer_norm.weight": torch.arange(8.0),
        "encoder.pos_conv.0.weight_v": torch.arange(24.0).reshape(4, 3, 2).transpose(0, 1).half(),
        "empty": torch.empty(0, 3),
        "num_updates": torch.tensor(7),
    }
)


@contextmanager
def written_by_fairseq() -> Iterator[types.ModuleType]:
    """`fairseq.data.dictionary` with a `Dictionary` and a `Choice`, registered for the time of the block."""
    names = ("fairseq", "fairseq.data", "fairseq.data.dictionary")
    modules = {name: types.ModuleType(name) for name in names}
    module = modules[names[-1]]
    body = {"__module__": names[-1]}
    module.Dictionary = type("Dictionary", (), body)
    module.Symbols = type("Symbols", (list,), body)
    module.Choice = enum.Enum("Choice", {"BEST": "best"}, module=names[-1])
    sys.modules.update(modules)
    try:
        yield module
    finally:
        for name in names:
            del sys.modules[name]


class Caller:
    def __init__(self, *call) -> None:
        self.call = call

    def __reduce__(self):
        return self.call


def archive(content: object, protocol: int = 2) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, pickle_protocol=protocol)
    return buffer.getvalue()


def with_entries(content: bytes, **changed: bytes | None) -> bytes:
    """The archive with other entries; those that are None go."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(buffer, "w") as target:
        entries = {name: source.read(name) for name in source.namelist()} | changed
        for name, data in entries.items():
            if data is not None:
                target.writestr(name, data)
    return buffer.getvalue()


def checkpoint(fairseq: types.ModuleType, **more: object) -> dict[str, object]:
    dictionary = fairseq.Dictionary()
    dictionary.symbols = fairseq.Symbols(["a", "b"])
    return {
        "args": None,
        "cfg": argparse.Namespace(task={"normalize": False}, kind=fairseq.Choice.BEST, path="/data"),
        "model": WEIGHTS,
        "optimizer_history": [{"num_updates": 400000, "optimizer_name": "FairseqAdam"}],
        "task_state": {"dictionaries": [dictionary]},
        "extra_state": {"epoch": 3, "metrics": (1.5, b"raw", {1, 2}, None, -5, 2**70)},
        **more,
    }


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_the_weights_come_out_with_the_classes_gone(protocol):
    with written_by_fairseq() as fairseq:
        content = archive(checkpoint(fairseq), protocol)
    assert b"fairseq.data.dictionary" in content
    read = read_fairseq_model(content, "hubert_base.pt")
    assert list(read) == list(WEIGHTS)
    for name, tensor in WEIGHTS.items():
        assert read[name].dtype == tensor.dtype
        torch.testing.assert_close(read[name], tensor)
    assert not any(name.startswith("fairseq") for name in sys.modules)


def refused(content: bytes) -> str:
    with pytest.raises(ArtifactCorrupt, match=r"^evil\.pt") as refusal:
        read_fairseq_model(content, "evil.pt")
    assert refusal.value.reason == UNSAFE_PICKLE
    return str(refusal.value)


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize(
    ("function", "name"),
    [
        (os.system, f"{os.name}.system"),
        (eval, "eval"),
        (exec, "exec"),
        (getattr, "getattr"),
        (subprocess.Popen, "Popen"),
        (torch.load, "torch.serialization.load"),
        (torch.hub.load, "torch.hub.load"),
        (pickle.loads, "loads"),
    ],
)
def test_a_call_is_refused_by_name_and_nothing_runs(tmp_path, function, name, protocol):
    trace = tmp_path / "trace"
    command = f"touch {trace}" if function is os.system else f"open({str(trace)!r}, 'w')"
    for evil in (
        {"model": Caller(function, (command,))},
        {"model": WEIGHTS, "cfg": Caller(function, (command,))},
    ):
        assert "evil.pt refers to" in (message := refused(archive(evil, protocol)))
        assert name in message
    assert not trace.exists()


def test_what_a_class_of_the_training_program_would_call_is_not_called(tmp_path):
    trace = tmp_path / "trace"
    with written_by_fairseq() as fairseq:
        body = {"__module__": fairseq.__name__, "__reduce__": lambda self: (os.system, (f"touch {trace}",))}
        fairseq.Task = type("Task", (), body)
        assert f"{os.name}.system" in refused(archive(checkpoint(fairseq, task=fairseq.Task())))
        fairseq.run = lambda path: Path(path).touch()
        fairseq.run.__module__, fairseq.run.__qualname__ = fairseq.__name__, "run"
        content = archive(checkpoint(fairseq, task=Caller(fairseq.run, (str(trace),))))
        assert list(read_fairseq_model(content, "hubert_base.pt")) == list(WEIGHTS)
    assert not trace.exists()


def assembled(*instructions: bytes) -> bytes:
    """An archive whose pickle is written by hand."""
    return with_entries(archive({}), **{"archive/data.pkl": b"\x80\x02" + b"".join(instructions) + b"."})


SYSTEM = b"cposix\nsystem\n"
STUB = b"cfairseq.Task\nTask\n"
REBUILD = b"ctorch._utils\n_rebuild_parameter\n"
STATE = b"}X\x0c\x00\x00\x00__setstate__K\x01s"


@pytest.mark.parametrize(
    ("instructions", "message"),
    [
        ((REBUILD, STATE, b"b"), "sets the state of Global"),
        ((STUB, STATE, b"b"), "sets the state of Global"),
        ((STUB, b"N", STATE, b"\x86", b"b"), "sets the state of Global"),
        ((STUB, b")\x81", b")R"), "calls a value of type Inert"),
        ((b"}", b")R"), "calls a value of type dict"),
        ((STUB, b"K\x01R"), "calls fairseq"),
        ((REBUILD, b")\x81"), "makes an object of torch._utils._rebuild_parameter"),
        ((b"(S'touch x'\niposix\nsystem\n",), "instruction INST"),
        ((b"(", STUB, b"o"), "instruction OBJ"),
        ((b"\x82\x01",), "instruction EXT1"),
        ((b"P1\n",), "instruction PERSID"),
        ((b"X\x02\x00\x00\x00osX\x06\x00\x00\x00system\x93",), "refers to os.system"),
        ((b"cfairseq\n__builtins__\n", b"cfairseqs\nx\n"), "refers to fairseqs.x"),
        ((b"cfairseq.data\nos.system\n", b"0", SYSTEM), "refers to posix.system"),
    ],
)
def test_tricks_of_hand_written_pickles_are_refused(instructions, message):
    assert message in refused(assembled(*instructions))


@pytest.mark.parametrize(
    ("before", "after"), [(b"}", b"Ns"), (b"\x8f(", b"\x90"), (b"(", b"\x91"), (b"(", b"Nd")]
)
def test_a_key_too_deep_to_hash_is_damage(before, after):
    nested = b"N" + b"\x85" * 1_000_000
    with pytest.raises(ArtifactCorrupt, match="tuple as a key"):
        read_pickle(b"\x80\x04" + before + nested + after + b".", Allowed({}, ()), "deep.pt")


def test_a_key_of_an_ordered_dict_is_not_hashed_either():
    ordered = b"ccollections\nOrderedDict\n"
    nested = b"N" + b"\x85" * 1_000_000
    with pytest.raises(ArtifactCorrupt, match="tuple as a key"):
        read_fairseq_model(assembled(ordered, b"(]", nested, b"N\x86at", b"R"), "deep.pt")


def test_state_is_kept_and_never_applied():
    pickled = STUB + b")\x81" + STATE + b"b"
    value = read_pickle(b"\x80\x02" + pickled + b".", Allowed({}, ("fairseq.",)), "file")
    assert isinstance(value, Inert)
    assert value.state == {"__setstate__": 1}


def test_entries_with_misleading_names_are_refused():
    content = archive({"model": WEIGHTS})
    with zipfile.ZipFile(io.BytesIO(content)) as source:
        pickled = source.read("archive/data.pkl")
    for changed in (
        {"other/data.pkl": pickled},
        {"archive/data.pkl": None},
        {"archive/data.pkl": None, "archive/deep/data.pkl": pickled},
        {"archive/data.pkl": None, "../archive/data.pkl": pickled},
        {"archive/data.pkl": None, "data.pkl": pickled},
    ):
        with pytest.raises(ArtifactCorrupt, match=r"entries data\.pkl"):
            read_fairseq_model(with_entries(content, **changed), "odd.pt")
    outside = pickled.replace(b"X\x01\x00\x00\x000", b"X\x04\x00\x00\x00../0")
    assert outside != pickled
    with pytest.raises(ArtifactCorrupt, match=r"storage \.\./0"):
        read_fairseq_model(with_entries(content, **{"archive/data.pkl": outside}), "odd.pt")


def test_a_storage_of_another_size_is_refused():
    content = archive({"model": WEIGHTS})
    for data, message in ((b"\0" * 16, "4 values of 8"), (b"\0" * 33, "damaged"), (None, "damaged")):
        with pytest.raises(ArtifactCorrupt, match=message):
            read_fairseq_model(with_entries(content, **{"archive/data/0": data}), "odd.pt")


def test_views_that_would_unfold_to_more_than_the_file_are_refused():
    square = torch.arange(10_000.0).reshape(100, 100)
    slanted = {
        f"w{offset}": square.flatten()[offset : 9_500 + offset].reshape(95, 100).T for offset in range(9)
    }
    flat = {f"w{offset}": square.flatten()[offset:] for offset in range(9)}
    for model in (slanted, flat):
        content = archive({"model": model})
        assert len(content) < 50_000
        with pytest.raises(
            ArtifactCorrupt, match=r"evil\.pt: its tensors show \d+ values of a storage of 10000"
        ):
            read_fairseq_model(content, "evil.pt")


def test_parts_of_one_storage_and_tied_weights_are_read():
    values = torch.arange(24.0)
    model = {"a": values[:12].reshape(3, 4).T, "b": values[12:], "tied": values[:12].reshape(3, 4).T}
    read = read_fairseq_model(archive({"model": model}), "tied.pt")
    for name, tensor in model.items():
        torch.testing.assert_close(read[name], tensor)


def test_a_tensor_is_no_storage_for_another():
    nested = Caller(torch._utils._rebuild_tensor_v2, (torch.arange(8.0), 0, (2, 4), (0, 1), False, {}))
    with pytest.raises(ArtifactCorrupt, match="a tensor without a storage"):
        read_fairseq_model(archive({"model": {"a": nested}}), "odd.pt")


def test_compressed_entries_are_refused():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr("archive/data.pkl", b"\0" * 10**6)
    with pytest.raises(ArtifactCorrupt, match="compressed"):
        read_fairseq_model(buffer.getvalue(), "bomb.pt")


def test_other_files_say_what_is_missing():
    for content, message in (
        (b"text", "no PyTorch archive"),
        (archive({"model": WEIGHTS})[:200], "no PyTorch archive"),
        (archive([1]), "no tensors under `model`"),
        (archive({"model": {"a": 1}}), "a under `model` is no tensor"),
        (assembled(b"K"), "damaged"),
        (assembled(b"0"), "damaged"),
    ):
        with pytest.raises(ArtifactCorrupt, match=message):
            read_fairseq_model(content, "file.pt")


WHOLE = archive({"model": WEIGHTS, "kind": [1.5, "text", (None, True)]})


@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=8), st.booleans())
def test_any_damage_is_an_error_of_ours_or_none(changes, cut):
    content = bytearray(WHOLE)
    for position, value in changes:
        content[position] = value
    with suppress(ArtifactCorrupt):
        read_fairseq_model(bytes(content[: changes[0][0]] if cut and changes else content), "damaged.pt")


@given(st.binary(max_size=60))
def test_any_pickle_is_an_error_of_ours_or_data(instructions):
    with suppress(ArtifactCorrupt):
        read_fairseq_model(assembled(instructions), "damaged.pt")
