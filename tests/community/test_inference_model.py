"""The `.pth` of the community: what is read of it, what is refused, and that it is written as it was."""

import os
import pickle
import zipfile
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from rvc.community.inference_model import (
    OFFICIAL_KEYS,
    inference_model_content,
    read_inference_model,
    write_inference_model,
)
from rvc.errors import ArtifactCorrupt, InvalidConfiguration, ObjectNotFound
from rvc.inert_pickle import UNSAFE_PICKLE
from tests.community.models import (
    model_of,
    official_content,
    small_geometry,
    small_weights,
    write_pth,
)

KINDS = [
    ("v2", 40000, True),
    ("v2", 48000, False),
    ("v2", 32000, True),
    ("v1", 48000, True),
    ("v1", 40000, False),
]


@pytest.mark.parametrize(("version", "rate", "f0"), KINDS)
def test_a_voice_is_read_and_written_as_it_was_to_the_byte(tmp_path, version, rate, f0):
    geometry = small_geometry(version, rate, f0)
    path = write_pth(tmp_path / "ann.pth", official_content(geometry))
    model = read_inference_model(path)
    assert model.geometry == geometry
    (tmp_path / "again").mkdir()
    write_inference_model(model, tmp_path / "again" / "ann.pth")
    assert (tmp_path / "again" / "ann.pth").read_bytes() == path.read_bytes()
    assert [one.name for one in (tmp_path / "again").iterdir()] == ["ann.pth"]


def test_what_is_written_is_the_official_format():
    content = inference_model_content(model_of(official_content()))
    assert isinstance(content, OrderedDict)
    assert tuple(content) == OFFICIAL_KEYS
    assert type(content["weight"]) is dict
    assert {tensor.dtype for tensor in content["weight"].values()} == {torch.float16}
    assert (content["sr"], content["f0"], content["version"]) == ("40k", 1, "v2")
    assert content["config"] == official_content()["config"]
    assert [type(item) for item in content["config"]] == [type(item) for item in official_content()["config"]]


def test_what_official_files_may_leave_out_has_its_old_meaning():
    content = official_content(small_geometry("v1", 40000, True))
    for name in ("version", "f0", "info", "sr"):
        del content[name]
    model = model_of(content)
    assert (model.geometry.version, model.geometry.f0, model.info) == ("v1", True, "")


@pytest.mark.parametrize(
    ("stated", "guided"),
    [(1, True), (True, True), ("1", True), (0, False), (False, False), ("0", False)],
)
def test_programs_say_pitch_guidance_in_several_ways(stated, guided):
    content = official_content(small_geometry(f0=guided), f0=stated)
    assert model_of(content).geometry.f0 is guided


def test_what_other_programs_add_is_kept_as_their_word():
    model = model_of(
        official_content(
            sr=40000,
            f0=True,
            epoch=12,
            vocoder="HiFi-GAN",
            embedder_model="contentvec",
            author="someone",
            f0_median=181.25,
            speaker_info=[
                {"id": 2, "name": "Ben"},
                {"id": 0, "name": "Ann"},
                {"id": 99, "name": "out"},
                "odd",
            ],
        )
    )
    assert model.claims["author"] == "someone"
    assert (model.claims["epoch"], model.claims["sr"], model.claims["f0"]) == ("12", "40000", "true")
    assert model.median_f0_hertz == 181.2
    assert model.speaker_names == ("Ann", "", "Ben")
    assert tuple(inference_model_content(model)) == OFFICIAL_KEYS


def test_claims_are_short_and_few():
    many = {f"note{i}": "x" * 10_000 for i in range(100)}
    claims = model_of(official_content(**many, median=torch.zeros(3), f0_median=float("nan"))).claims
    assert len(claims) == 32
    assert max(map(len, claims.values())) == 256


def test_newer_names_of_weight_norm_are_the_same_weights():
    content = official_content()
    expected = dict(content["weight"])
    content["weight"] = {
        name.replace(".weight_g", ".parametrizations.weight.original0").replace(
            ".weight_v", ".parametrizations.weight.original1"
        ): tensor
        for name, tensor in reversed(expected.items())
    }
    tensors = model_of(content).tensors
    assert list(tensors) == list(expected)
    assert all(torch.equal(tensors[name], expected[name]) for name in expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_other_precisions_are_rounded_to_half(dtype):
    full = {name: tensor.to(dtype) for name, tensor in small_weights(small_geometry()).items()}
    tensors = model_of(official_content(weight=full)).tensors
    assert all(torch.equal(tensors[name], tensor.half()) for name, tensor in full.items())


def test_rows_of_the_table_of_speakers_win_over_the_list_of_sizes():
    content = official_content(small_geometry(speakers=3))
    content["config"][15] = 109
    model = model_of(content)
    assert model.geometry.speakers == 3
    assert inference_model_content(model)["config"][15] == 3


def test_weights_that_do_not_fit_are_listed():
    content = official_content()
    del content["weight"]["enc_p.proj.bias"]
    content["weight"]["enc_q.pre.bias"] = torch.zeros(3)
    content["weight"]["dec.conv_pre.bias"] = torch.zeros(3)
    with pytest.raises(ArtifactCorrupt) as caught:
        model_of(content)
    assert "1 missing (enc_p.proj.bias)" in str(caught.value)
    assert "1 unexpected (enc_q.pre.bias)" in str(caught.value)
    assert "dec.conv_pre.bias [3] instead of [32]" in str(caught.value)


UNSUPPORTED = [
    ({"vocoder": "RefineGAN"}, "vocoder RefineGAN"),
    ({"vocoder": "MRF HiFi-GAN"}, "vocoder MRF HiFi-GAN"),
    ({"embedder_model": "japanese-hubert-base"}, "content encoder japanese-hubert-base"),
    ({"config": [*small_geometry().to_config()[:17], 24000]}, "24 kHz"),
]


@pytest.mark.parametrize(("changes", "words"), UNSUPPORTED)
def test_voices_of_another_kind_are_refused_by_name(changes, words):
    with pytest.raises(InvalidConfiguration, match=words) as caught:
        model_of(official_content(**changes))
    assert caught.value.reason == "VoiceUnsupported"


def config(position: int, value: object) -> dict[str, Any]:
    sizes = small_geometry().to_config()
    sizes[position] = value
    return {"config": sizes}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"version": "v3"}, "neither v1 nor v2"),
        ({"version": "v1"}, r"\[8, 768\] instead of \[8, 256\]"),
        ({"f0": "maybe"}, "f0 'maybe'"),
        ({"config": [1, 2, 3]}, "list of 18 items"),
        (config(12, [10, 10, 2]), "upsampling rates for"),
        (config(12, "1022"), "upsample_rates"),
        (config(6, 10**9), "far beyond"),
        (config(3, 2**40), "far beyond"),
        (config(11, [[1] * 1000] * 3), "far beyond"),
        ({"weight": {}}, "no named weights"),
        ({"weight": [torch.zeros(2)]}, "no named weights"),
        ({"weight": {"enc_p.proj.bias": 3}}, "no plain tensor"),
        ({"weight": {"enc_p.proj.bias": torch.zeros(3, dtype=torch.int64)}}, "not floating point"),
        ({"weight": {"enc_p.proj.bias": torch.zeros(3).to_sparse()}}, "no plain tensor"),
        ({"weight": {"enc_p.proj.bias": torch.zeros(1).expand(10**12)}}, "more numbers than it has bytes"),
        (
            {"weight": {"a.weight_g": torch.ones(1), "a.parametrizations.weight.original0": torch.ones(1)}},
            "a.weight_g twice",
        ),
    ],
)  # fmt: skip
def test_what_is_no_voice_is_refused(tmp_path, changes, words):
    path = write_pth(tmp_path / "odd.pth", official_content(**changes))
    with pytest.raises(ArtifactCorrupt, match=words) as caught:
        read_inference_model(path)
    assert "odd.pth" in str(caught.value)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 1e30])
def test_weights_that_are_no_numbers_are_refused(number):
    weights = small_weights(small_geometry())
    weights["dec.conv_pre.bias"][1] = number
    with pytest.raises(ArtifactCorrupt, match=r"dec.conv_pre.bias hold numbers that are none"):
        model_of(official_content(weight=weights))


class Calls:
    def __init__(self, function: Any, *arguments: object) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> Any:
        return self._call


@pytest.mark.parametrize("place", ["weight", "config", "info", "extra"])
@pytest.mark.parametrize(
    ("function", "name"), [(os.system, "posix.system"), (eval, "eval"), (os.makedirs, "os.makedirs")]
)
def test_a_file_that_wants_something_called_is_refused_by_name_and_calls_nothing(
    tmp_path, place, function, name
):
    trace = tmp_path / "trace"
    code = {
        "posix.system": f"touch {trace}", "eval": f"open({str(trace)!r}, 'w')", "os.makedirs": str(trace)
    }[name]  # fmt: skip
    content = official_content(**{place: Calls(function, code)})
    path = write_pth(tmp_path / "evil.pth", content)
    with pytest.raises(ArtifactCorrupt) as caught:
        read_inference_model(path)
    assert caught.value.reason == UNSAFE_PICKLE
    assert name in str(caught.value)
    assert not trace.exists()
    # The same file does call in the hands of a reader that trusts it.
    torch.load(path, weights_only=False)
    assert trace.exists()


def test_a_class_of_its_own_is_refused_by_name(tmp_path):
    path = write_pth(tmp_path / "evil.pth", official_content(info=replace(small_geometry())))
    with pytest.raises(ArtifactCorrupt, match=r"rvc\.rvc2\.geometry\.Geometry") as caught:
        read_inference_model(path)
    assert caught.value.reason == UNSAFE_PICKLE


def test_a_bare_pickle_is_refused_and_calls_nothing(tmp_path):
    path = tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps(Calls(os.makedirs, str(tmp_path / "trace"))))
    with pytest.raises(ArtifactCorrupt):
        read_inference_model(path)
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.999])
def test_a_file_that_was_cut_off_is_refused(tmp_path, share):
    path = write_pth(tmp_path / "ann.pth")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(ArtifactCorrupt):
        read_inference_model(path)


def test_an_archive_that_unpacks_to_more_than_it_is_is_not_unpacked(tmp_path):
    path = write_pth(tmp_path / "ann.pth")
    with (
        zipfile.ZipFile(path) as stored,
        zipfile.ZipFile(tmp_path / "packed.pth", "w", zipfile.ZIP_DEFLATED) as to,
    ):
        for entry in stored.infolist():
            to.writestr(entry.filename, stored.read(entry))
    with pytest.raises(ArtifactCorrupt, match="compressed archive"):
        read_inference_model(tmp_path / "packed.pth")


def test_other_files_are_told_what_they_are_not(tmp_path):
    with pytest.raises(ObjectNotFound, match="is not there"):
        read_inference_model(tmp_path / "none.pth")
    with pytest.raises(ArtifactCorrupt, match="no `weight` and `config`, but a, b"):
        read_inference_model(write_pth(tmp_path / "flat.pth", {"a": torch.zeros(1), "b": torch.zeros(1)}))


def test_reading_a_path_names_it(tmp_path: Path) -> None:
    (tmp_path / "text.pth").write_text("I am a voice")
    with pytest.raises(ArtifactCorrupt, match=r"text\.pth"):
        read_inference_model(tmp_path / "text.pth")


def test_a_tensor_that_claims_more_than_the_file_holds_is_refused(tmp_path):
    content = official_content(weight={"enc_p.proj.bias": torch.zeros(4321)})
    path = write_pth(tmp_path / "ann.pth", content)
    size, claim = b"M" + (4321).to_bytes(2, "little"), b"\x8a\x06" + (1 << 40).to_bytes(6, "little")
    with zipfile.ZipFile(path) as stored, zipfile.ZipFile(tmp_path / "huge.pth", "w") as to:
        for entry in stored.infolist():
            to.writestr(entry.filename, stored.read(entry).replace(size, claim))
    with pytest.raises(ArtifactCorrupt, match="damaged"):
        read_inference_model(tmp_path / "huge.pth")
