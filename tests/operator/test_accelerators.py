"""The accelerator catalogue: what a file may say, and what comes of it in a pod."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from rvc_operator.accelerators import (
    Accelerator,
    CatalogueError,
    Resources,
    Taint,
    builtin_accelerators,
    read_catalogue,
)
from rvc_operator.api.rules import InvalidSpec
from rvc_operator.build.accelerator import accelerator_of
from rvc_operator.build.job import training_job
from rvc_operator.build.pod import Manifest

from . import factory
from .factory import CONFIG
from .manifests import Spec, voice_spec
from .test_build import REVISION, voice


def catalogue(folder: Path, text: str) -> dict[str, Accelerator]:
    file = folder / "accelerators.yaml"
    file.write_text(text)
    return read_catalogue(file)


def pod(spec: Spec, **entries: Accelerator) -> Manifest:
    config = factory.with_accelerators(**entries)
    template: Manifest = training_job(voice(spec), config, REVISION, 1)["spec"]["template"]
    return template


def test_models_are_added_to_those_that_are_built_in(tmp_path: Path) -> None:
    accelerators = catalogue(tmp_path, "T4: {resourceName: nvidia.com/gpu, trainer: {requests: {cpu: 8}}}")
    assert sorted(accelerators) == ["CPU", "GU8TEF", "GU8TF", "L20", "P16EN", "T4"]
    assert accelerators["T4"] == Accelerator(
        resource_name="nvidia.com/gpu", trainer=Resources(requests={"cpu": 8})
    )


def test_an_entry_replaces_a_built_in_one_whole(tmp_path: Path) -> None:
    accelerators = catalogue(tmp_path, "P16EN: {resourceName: example.com/ppu}")
    assert accelerators["P16EN"] == Accelerator(resource_name="example.com/ppu")
    assert accelerators["L20"] == builtin_accelerators()["L20"]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (
            "L20: {resource: nvidia.com/gpu}",
            "model L20: .*`resource`.*fields of a model are device, resource",
        ),
        ("L20: {labels: {a: b}}", "model L20: resourceName is missing"),
        ("L20: {resourceName: nvidia.com/gpu, trainer: {limits: {memory: much}}}", "model L20: .*trainer"),
        ("L20: {resourceName: nvidia.com/gpu, sharedMemory: 16GB}", "model L20: .*sharedMemory"),
        ("L20: {resourceName: nvidia.com/gpu, labels: {driver: 2.1}}", "model L20: .*labels"),
        ("L20: {resourceName: nvidia.com/gpu, labels: {a: b c}}", "model L20: .*labels"),
        ("L20: {resourceName: nvidia.com/gpu, trainerImage: a b}", "model L20: .*trainerImage"),
        ("L20: {resourceName: nvidia.com/gpu, tolerations: [{keys: a}]}", "model L20: .*`keys`"),
        ("L20: {device: TPU}", "model L20: .*TPU"),
        ("L 20: {device: CPU}", "model L 20: "),
        ("L20:", "model L20: .*null"),
        ("", "mapping of models"),
        ("- L20", "mapping of models"),
        ("L20: {", "mapping of models"),
    ],
)
def test_what_is_wrong_is_named_with_its_model(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(CatalogueError, match=named):
        catalogue(tmp_path, text)


def test_an_unknown_model_is_answered_with_those_that_are_known() -> None:
    unknown = voice(voice_spec(accelerator={"model": "PPU810E"}))
    with pytest.raises(InvalidSpec, match=r"model: PPU810E .*CPU, GU8TEF, GU8TF, L20, P16EN"):
        accelerator_of(unknown.spec, CONFIG)


def test_what_an_account_calls_the_model_is_configuration() -> None:
    card = builtin_accelerators()["P16EN"]
    series = {"alibabacloud.com/gpu-model-series": "PPU810E"}
    made = pod(voice_spec(accelerator={"model": "P16EN"}), P16EN=replace(card, labels=card.labels | series))
    assert made["metadata"]["labels"].items() >= series.items()


def test_tolerations_and_images_come_from_the_catalogue() -> None:
    card = Accelerator(
        resource_name="nvidia.com/gpu",
        tolerations=(Taint(key="nvidia.com/gpu"),),
        node_selector={"pool": "gpus"},
        trainer_image="mine:1",
        shared_memory="1Gi",
    )
    wanted: dict[str, Any] = {"tolerations": [{"key": "spot", "operator": "Exists"}]}
    spec = pod(voice_spec(accelerator={"model": "T4", "count": 2}, podTemplate=wanted), T4=card)["spec"]
    assert spec["tolerations"] == [{"key": "nvidia.com/gpu"}, {"key": "spot", "operator": "Exists"}]
    assert spec["nodeSelector"] == {"pool": "gpus"}
    (container,) = spec["containers"]
    assert container["image"] == "mine:1"
    assert container["resources"]["limits"] == {"nvidia.com/gpu": "2"}


@pytest.mark.parametrize("model", ["P16EN", "GU8TF", "GU8TEF", "L20"])
def test_reserved_nodes_are_chosen_by_selector_and_have_no_qos(model: str) -> None:
    made = pod(voice_spec(accelerator={"model": model, "computeClass": "gpu-hpn"}))
    assert made["spec"]["nodeSelector"] == {"alibabacloud.com/gpu-model-series": model}
    ours = {key for key in made["metadata"]["labels"] if key.startswith("alibabacloud.com/")}
    assert ours == {"alibabacloud.com/compute-class"}
    asked = voice(voice_spec(accelerator={"model": model, "computeClass": "gpu-hpn", "qos": "best-effort"}))
    with pytest.raises(InvalidSpec, match="gpu-hpn has no QoS"):
        accelerator_of(asked.spec, CONFIG)
