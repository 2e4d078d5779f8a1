"""Files that people have, small: each is known for what it is and kept with its tensors."""

import io
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from rvc.base_models import BASE_MODEL_NAMES, open_base_model, read_manifest
from rvc.base_models.add import add_base_model
from rvc.base_models.sources import SOURCES
from rvc.errors import ArtifactCorrupt, InvalidConfiguration, ObjectNotFound
from rvc.rvc2.geometry import Geometry
from tests.base_models.test_fairseq import Caller, written_by_fairseq
from tests.content.hubert import fairseq_names, official_tensors, transformers_names

RMVPE = {"unet.encoder.bn.weight": torch.ones(1).half(), "fc.1.weight": torch.zeros(360, 512).half()}


def generator(version: str, rate: int, f0: bool) -> dict[str, torch.Tensor]:
    """As much of an official generator as tells which it is."""
    geometry = Geometry.official(version, rate, f0)
    tensors = {
        "enc_p.emb_phone.weight": torch.zeros(2, {"v1": 256, "v2": 768}[version]),
        "enc_q.pre.weight": torch.zeros(2, geometry.spectrogram_bins, 1),
        "dec.conv_pre.weight": torch.zeros(1),
    }
    if f0:
        tensors["enc_p.emb_pitch.weight"] = torch.zeros(256, 2)
    for index, kernel in enumerate(geometry.upsample_kernels):
        tensors[f"dec.ups.{index}.weight_v"] = torch.zeros(2, 2, kernel)
    return tensors


def discriminator(networks: int) -> dict[str, torch.Tensor]:
    return {f"discriminators.{index}.convs.0.weight_v": torch.zeros(1, 1, 5) for index in range(networks)}


def crepe(width: int) -> dict[str, torch.Tensor]:
    names = ("conv1.weight", "conv6_BN.weight")
    return {**dict.fromkeys(names, torch.zeros(1)), "classifier.weight": torch.zeros(360, width)}


def written(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("rate", [32000, 40000, 48000])
@pytest.mark.parametrize("f0", [True, False])
def test_a_generator_is_known_by_its_tensors(tmp_path, version, rate, f0):
    tensors = generator(version, rate, f0)
    name = f"rvc2-{version}-{'f0' if f0 else 'nof0'}-{rate // 1000}k-generator"
    assert add_base_model(tmp_path, written(tmp_path / "any.pth", {"model": tensors, "iteration": 1})) == name
    assert name in BASE_MODEL_NAMES
    torch.testing.assert_close(open_base_model(name, tmp_path).tensors, tensors)


@pytest.mark.parametrize(
    ("file", "networks", "name"),
    [
        ("f0D40k.pth", 9, "rvc2-v2-f0-40k-discriminator"),
        ("D48k.pth", 9, "rvc2-v2-nof0-48k-discriminator"),
        ("f0D32k.pth", 7, "rvc2-v1-f0-32k-discriminator"),
    ],
)
def test_a_discriminator_is_known_by_its_tensors_and_its_name(tmp_path, file, networks, name):
    assert add_base_model(tmp_path, written(tmp_path / file, {"model": discriminator(networks)})) == name


def test_a_discriminator_of_another_name_needs_to_be_named(tmp_path):
    path = written(tmp_path / "D_mine.pth", {"model": discriminator(9)})
    with pytest.raises(InvalidConfiguration, match=r"D_mine\.pth does not tell.*--as.*rvc2-v2-f0-40k-disc"):
        add_base_model(tmp_path, path)
    name = "rvc2-v2-f0-48k-discriminator"
    assert add_base_model(tmp_path, path, name) == name
    with pytest.raises(InvalidConfiguration, match=r"is not rvc2-v1-f0-48k-discriminator; its tensors"):
        add_base_model(tmp_path, path, "rvc2-v1-f0-48k-discriminator")


@pytest.mark.parametrize(
    ("tensors", "name"), [(RMVPE, "rmvpe"), (crepe(2048), "crepe"), (crepe(256), "crepe-tiny")]
)
def test_pitch_networks_keep_their_official_names_and_precision(tmp_path, tensors, name):
    assert add_base_model(tmp_path, written(tmp_path / "x.pt", tensors)) == name
    kept = open_base_model(name, tmp_path).tensors
    torch.testing.assert_close(kept, tensors)
    manifest = read_manifest(tmp_path)
    assert manifest is not None
    assert manifest.models[name].source.startswith("x.pt sha256:")


@pytest.mark.parametrize("final", [True, False])
@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin", "newer.bin", "hubert_base.pt"])
def test_contentvec_comes_from_every_program_with_the_same_tensors(tmp_path, file, final):
    tensors = official_tensors(final=final)
    path = tmp_path / file
    if path.suffix == ".safetensors":
        save_file(transformers_names(tensors), path)
    elif path.suffix == ".bin":
        written(path, transformers_names(tensors, parametrized=file == "newer.bin"))
    else:
        with written_by_fairseq() as fairseq:
            state = {"task": fairseq.Dictionary(), "model": fairseq_names(tensors)}
            written(path, state)
    assert add_base_model(tmp_path, path) == "contentvec"
    kept = open_base_model("contentvec", tmp_path).tensors
    assert sorted(kept) == sorted(tensors)
    for name, tensor in tensors.items():
        assert torch.equal(kept[name], tensor)


def test_a_network_is_added_beside_the_others_or_replaced(tmp_path):
    folder = tmp_path / "models"
    add_base_model(folder, written(tmp_path / "rmvpe.pt", RMVPE))
    before = (folder / "rmvpe.safetensors").stat()
    add_base_model(folder, written(tmp_path / "tiny.pth", crepe(256)))
    assert (folder / "rmvpe.safetensors").stat() == before
    first = open_base_model("crepe-tiny", folder).digest
    add_base_model(folder, written(tmp_path / "tiny.pth", crepe(256) | {"conv1.weight": torch.ones(1)}))
    assert open_base_model("crepe-tiny", folder).digest != first
    assert open_base_model("rmvpe", folder).tensors.keys() == RMVPE.keys()


def test_other_files_are_refused_and_leave_no_trace(tmp_path):
    folder = tmp_path / "models"
    short = dict(official_tensors())
    short.pop("layers.3.value.bias")
    bytes_of_code = io.BytesIO()
    torch.save({"model": Caller(os.system, (f"touch {tmp_path / 'trace'}",))}, bytes_of_code)
    (tmp_path / "evil.pt").write_bytes(bytes_of_code.getvalue())
    (tmp_path / "text.safetensors").write_text("text")
    for path, error, message in (
        (tmp_path / "none.pt", ObjectNotFound, "does not exist"),
        (tmp_path / "evil.pt", ArtifactCorrupt, rf"evil\.pt refers to {os.name}\.system"),
        (tmp_path / "text.safetensors", ArtifactCorrupt, "no safetensors file"),
        (written(tmp_path / "voice.pth", {"weight": {}, "config": []}), InvalidConfiguration, "is a voice"),
        (written(tmp_path / "a.pt", {"a": torch.ones(1)}), InvalidConfiguration, "none of the base models"),
        (written(tmp_path / "c.pt", crepe(99)), InvalidConfiguration, "of a size that no base model has"),
        (written(tmp_path / "g.pt", discriminator(5)), InvalidConfiguration, "of a size that no base model"),
        (written(tmp_path / "h.pt", transformers_names(short)), ArtifactCorrupt, r"layers\.3\.value\.bias"),
        (
            written(
                tmp_path / "i.pt", transformers_names(official_tensors()) | {"lm_head.weight": torch.ones(1)}
            ),
            ArtifactCorrupt,
            r"has no lm_head\.weight",
        ),
        (
            written(tmp_path / "j.pt", transformers_names(official_tensors(layers=2))),
            InvalidConfiguration,
            "2 layers of width 768; ContentVec has 12 of 768",
        ),
    ):
        with pytest.raises(error, match=message):
            add_base_model(folder, path)
    assert not folder.exists()
    assert not (tmp_path / "trace").exists()


def test_every_source_is_a_base_model():
    assert set(SOURCES) <= set(BASE_MODEL_NAMES)


@pytest.mark.parametrize(
    "tensors",
    [
        {
            "enc_p.emb_phone.weight": torch.zeros(3),
            "enc_q.pre.weight": torch.zeros(()),
            "dec.conv_pre.weight": 0,
        },
        {"input_stack.0.weight": torch.zeros(1), "output_proj.weight_v": torch.zeros(1)},
        fairseq_names(official_tensors()) | {"encoder.pos_conv.0.weight_v": torch.zeros(768, 0, 128)},
        fairseq_names(official_tensors()) | {"feature_extractor.conv_layers.3.0.weight": torch.zeros(())},
    ],
)
def test_parts_of_a_network_and_odd_shapes_are_damage(tmp_path, tensors):
    tensors = {name: torch.as_tensor(tensor) for name, tensor in tensors.items()}
    with pytest.raises(ArtifactCorrupt):
        add_base_model(tmp_path / "folder", written(tmp_path / "part.pth", tensors))
