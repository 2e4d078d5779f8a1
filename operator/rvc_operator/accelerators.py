"""The accelerator catalogue: how pods ask for each model that `spec.accelerator.model` may name.

What differs between cloud accounts and regions (resources, labels, images, sizes) is data here; a YAML file
(`RVC_ACCELERATORS_FILE`, by kustomize a mounted ConfigMap) replaces built-in entries whole and adds others.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from rvc.contract import Device

from .api.common import Annotations, QualifiedName, Word
from .api.podtemplate import LabelValue, Quantity, Toleration
from .api.voicemodel import CPU_MODEL

Labels = dict[QualifiedName, LabelValue]
Image = Annotated[str, Meta(max_length=512, pattern=r"^\S*$")]


class CatalogueError(Exception):
    """The catalogue cannot be used; the message names the model, the field and what it must hold."""


class Resources(Struct, frozen=True, forbid_unknown_fields=True):
    """Requests and limits of one container, as in a pod."""

    requests: dict[QualifiedName, Quantity] = {}
    limits: dict[QualifiedName, Quantity] = {}


class Taint(Toleration, frozen=True, forbid_unknown_fields=True):
    """A toleration as in a pod; unlike in a VoiceModel, a misspelt field is refused."""


class Accelerator(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """How pods ask for one model of accelerator."""

    device: Device = Device.CUDA
    """What trainer and server compute on: CUDA (PPU cards, too) or CPU."""
    resource_name: QualifiedName | None = None
    """Extended resource of one card; needed unless the device is CPU."""
    labels: Labels = {}
    """Labels of the pod, e.g. compute class, model and driver version on ACS."""
    node_selector: Labels = {}
    """Labels of the node."""
    annotations: Annotations = {}
    """Annotations of the pod, e.g. for more ephemeral storage."""
    tolerations: tuple[Taint, ...] = ()
    """Taints of the nodes that have such cards; a VoiceModel's are added."""
    trainer: Resources = Resources()
    """CPU, memory and ephemeral storage beside the cards of a trainer."""
    server: Resources = Resources()
    """CPU, memory and ephemeral storage beside the card of a server."""
    shared_memory: Quantity | None = None
    """Size limit of the trainer's /dev/shm; left out, the kubelet's default."""
    trainer_image: Image = ""
    """Trainer image for this model; left out, `RVC_TRAINER_IMAGE`."""
    server_image: Image = ""
    """Server image for this model; left out, `RVC_SERVER_IMAGE`."""

    def __post_init__(self) -> None:
        if self.device is not Device.CPU and self.resource_name is None:
            raise ValueError(
                "resourceName is missing, the resource that stands for one card, such as nvidia.com/gpu; "
                "for pods without a card set device: CPU"
            )


def builtin_accelerators() -> dict[str, Accelerator]:
    """The models that are known without a catalogue file."""
    nvidia = ("GU8TF", "GU8TEF", "L20")
    return {
        # Small enough for a two-core node that also runs a cluster; not capped, so idle cores are used.
        CPU_MODEL: Accelerator(
            device=Device.CPU,
            trainer=Resources(requests={"cpu": "500m", "memory": "1Gi"}),
            server=Resources(requests={"cpu": "250m", "memory": "512Mi"}),
        ),
        "P16EN": _acs_card("P16EN", "alibabacloud.com/ppu"),
        **{model: _acs_card(model, "nvidia.com/gpu") for model in nvidia},
    }


def read_catalogue(path: Path) -> dict[str, Accelerator]:
    """The built-in entries with those of a file over them; raises CatalogueError."""
    try:
        content = msgspec.yaml.decode(path.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError) as error:
        raise CatalogueError(f"cannot be read as a mapping of models: {error}") from error
    return builtin_accelerators() | dict(_entry(model, body) for model, body in content.items())


def _entry(model: str, body: Any) -> tuple[str, Accelerator]:
    try:
        return msgspec.convert(model, Word), msgspec.convert(body, Accelerator)
    except msgspec.ValidationError as error:
        fields = ", ".join(Accelerator.__struct_encode_fields__)
        raise CatalogueError(f"model {model}: {error}; the fields of a model are {fields}") from error


def _acs_card(model: str, resource_name: str) -> Accelerator:
    """A card of ACS in compute class `gpu`. What it has beside a card was seen with P16EN; for other models
    it is a start, as a region may ask for another size."""
    beside = Resources(requests={"cpu": "8", "memory": "64Gi"}, limits={"cpu": "8", "memory": "64Gi"})
    return Accelerator(
        resource_name=resource_name,
        labels={
            "alibabacloud.com/compute-class": "gpu",
            "alibabacloud.com/compute-qos": "default",
            "alibabacloud.com/gpu-model-series": model,
        },
        annotations={
            "alibabacloud.com/extra-ephemeral-storage": "200Gi",
            # Without it network policies do not count for a pod.
            "alibabacloud.com/enable-network-policy-agent": "true",
        },
        trainer=beside,
        server=beside,
        shared_memory="16Gi",
    )
