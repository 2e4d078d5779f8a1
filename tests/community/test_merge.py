"""Two voices made into one."""

from dataclasses import replace

import msgspec
import pytest
import torch

from rvc.community.merge import merge_models, merge_voices
from rvc.community.voice import import_voice
from rvc.errors import ArtifactCorrupt, InvalidConfiguration
from rvc.voice import Voice
from tests.community.models import model_of, official_content, small_geometry, small_weights, write_pth

A = model_of(official_content(small_geometry(speakers=5)))


def other(speakers: int = 3, **changes: object):
    geometry = small_geometry(speakers=speakers)
    return model_of(official_content(geometry, weight=small_weights(geometry, seed=1), **changes))


def test_every_weight_is_a_mixture_and_the_table_of_speakers_the_shorter_ones():
    second = other(speakers=3)
    merged = merge_models(A, second, 0.3, "mixed")
    assert merged.geometry == A.geometry.with_speakers(3)
    assert merged.info == "mixed"
    assert list(merged.tensors) == list(A.tensors)
    for name, tensor in merged.tensors.items():
        ours = A.tensors[name][:3] if name == "emb_g.weight" else A.tensors[name]
        expected = (0.3 * ours.float() + 0.7 * second.tensors[name].float()).half()
        assert torch.equal(tensor, expected)


@pytest.mark.parametrize(("theirs", "expected"), [(220.0, 178.7), (None, None)])
def test_the_mixture_speaks_as_many_semitones_from_both(theirs, expected):
    merged = merge_models(replace(A, median_f0_hertz=110.0), other(f0_median=theirs), 0.3, "")
    assert merged.median_f0_hertz == expected


@pytest.mark.parametrize(("share", "whole"), [(1.0, A), (0.0, other(5))])
def test_a_whole_share_is_the_voice_itself(share, whole):
    merged = merge_models(A, other(5), share, "")
    assert all(torch.equal(tensor, whole.tensors[name]) for name, tensor in merged.tensors.items())


@pytest.mark.parametrize(
    ("geometry", "words"),
    [
        (small_geometry("v1"), "version v2 and v1"),
        (small_geometry(f0=False), "f0 True and False"),
        (small_geometry(rate=48000), "sample_rate_hertz 40000 and 48000"),
        (replace(small_geometry(), filter_channels=32), "filter_channels 16 and 32"),
    ],
)
def test_networks_that_differ_are_not_merged(geometry, words):
    with pytest.raises(InvalidConfiguration, match=words):
        merge_models(A, model_of(official_content(geometry)), 0.5, "")


def test_what_files_merely_note_does_not_matter():
    content = official_content()
    content["config"][1] = 40
    assert merge_models(A, model_of(content), 0.5, "").geometry.segment_frames == 32


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_is_a_share(share):
    with pytest.raises(InvalidConfiguration, match="between 0 and 1"):
        merge_models(A, A, share, "")


def voice(folder, name: str, digest: str | None = None) -> Voice:
    model = write_pth(folder / f"{name}.pth")
    manifest = import_voice(model, None, folder / name, name=name)
    encoder = msgspec.structs.replace(manifest.content_encoder, digest=digest)
    changed = msgspec.structs.replace(manifest, content_encoder=encoder)
    return Voice(folder / name, changed, f"sha256:{name}", 0)


def test_the_manifest_names_both(tmp_path):
    known = "sha256:" + "a" * 64
    model, manifest = merge_voices(voice(tmp_path, "ann"), voice(tmp_path, "ben", known), 0.3, "both")
    assert manifest.name == "both"
    assert manifest.origin["merged"] == "30% of ann (sha256:ann) and 70% of ben (sha256:ben)"
    assert model.info == manifest.origin["claimed.info"] == "30% ann + 70% ben"
    assert manifest.content_encoder.digest == known


def test_different_copies_of_the_content_encoder_are_not_mixed(tmp_path):
    first, second = voice(tmp_path, "ann", "sha256:" + "a" * 64), voice(tmp_path, "ben", "sha256:" + "b" * 64)
    with pytest.raises(InvalidConfiguration, match="different copies of ContentVec768"):
        merge_voices(first, second, 0.5, "both")


def test_a_mixture_beyond_half_precision_is_refused():
    big = {name: torch.full_like(tensor, 60000.0) for name, tensor in A.tensors.items()}
    negative = {name: -tensor for name, tensor in big.items()}
    merge_models(replace(A, tensors=big), replace(A, tensors=negative), 0.5, "")
    with pytest.raises(ArtifactCorrupt, match="none"):
        merge_models(replace(A, tensors={n: t.float() * 2 for n, t in big.items()}), A, 0.9, "")
