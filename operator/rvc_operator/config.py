"""The operator's configuration: frozen, read once from the environment, printed at start.

What differs between cloud accounts and regions (names of resources, labels, images, sizes) is data in the
accelerator catalogue; a YAML file (`RVC_ACCELERATORS_FILE`) replaces built-in entries and adds others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from rvc.contract import CONTENT_PRODUCER_VARIABLE, DEFAULT_CONTENT_PRODUCER, Device

from .api.voicemodel import CPU_MODEL


class ConfigurationError(Exception):
    """The operator cannot start as it is configured; the message names the variable and what it must hold."""


class Resources(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Requests and limits of one container, as in a pod."""

    requests: dict[str, str] = {}
    limits: dict[str, str] = {}


class Accelerator(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """How pods ask for one model of accelerator."""

    device: Device = Device.CUDA
    """What trainer and server compute on."""
    resource_name: str = ""
    """Extended resource of one card; empty for none."""
    labels: dict[str, str] = {}
    """Labels of the pod, e.g. the compute class."""
    node_selector: dict[str, str] = {}
    """Labels of the node, e.g. of reserved ones."""
    annotations: dict[str, str] = {}
    """Annotations of the pod, e.g. for more ephemeral storage."""
    trainer: Resources = Resources()
    """CPU, memory and storage beside the cards of a trainer."""
    server: Resources = Resources()
    """CPU, memory and storage beside the card of a server."""
    shared_memory: str = ""
    """Size limit of the trainer's /dev/shm; empty for the node's default."""
    trainer_image: str = ""
    """Trainer image for this model; empty for `RVC_TRAINER_IMAGE`."""
    server_image: str = ""
    """Server image for this model; empty for `RVC_SERVER_IMAGE`."""


def _ppu() -> Accelerator:
    beside = Resources(requests={"cpu": "8", "memory": "64Gi"}, limits={"cpu": "8", "memory": "64Gi"})
    return Accelerator(
        resource_name="alibabacloud.com/ppu",
        labels={
            "alibabacloud.com/compute-class": "gpu",
            "alibabacloud.com/compute-qos": "default",
            "alibabacloud.com/gpu-model-series": "P16EN",
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


def builtin_accelerators() -> dict[str, Accelerator]:
    """The models that are known without a catalogue file."""
    return {
        # Small enough for a two-core node that also runs a cluster; not capped, so idle cores are used.
        CPU_MODEL: Accelerator(
            device=Device.CPU,
            trainer=Resources(requests={"cpu": "500m", "memory": "1Gi"}),
            server=Resources(requests={"cpu": "250m", "memory": "512Mi"}),
        ),
        "P16EN": _ppu(),
    }


@dataclass(frozen=True)
class Config:
    """Everything that the operator can be told, besides where the API server is."""

    trainer_image: str
    """`RVC_TRAINER_IMAGE`: image of training attempts."""
    server_image: str
    """`RVC_SERVER_IMAGE`: image of inference servers."""
    namespaces: tuple[str, ...] = ()
    """`RVC_NAMESPACES`: namespaces to serve, separated by commas; empty for the whole cluster."""
    liveness: str = "http://0.0.0.0:8081/healthz"
    """`RVC_LIVENESS`: address of the operator's own health endpoint."""
    metrics_port: int = 8082
    """`RVC_METRICS_PORT`: where Prometheus finds `/metrics`."""
    namespace: str = "rvc-system"
    """`POD_NAMESPACE`: the operator's own namespace, where its key pair is."""
    public_key: str = ""
    """Not to be set: the half of that key pair that pods are told, added when it has been read."""
    instance: str = "rvc-operator"
    """`POD_NAME`: who reports in events."""
    content_producer: str = DEFAULT_CONTENT_PRODUCER
    """`RVC_CONTENT_PRODUCER`: who made the converted files, as their AIGC labels say: a name or a company's
    code."""
    poll_seconds: float = 3.0
    """`RVC_POLL_SECONDS`: time between two looks at a trainer's or server's progress."""
    resync_seconds: float = 300.0
    """`RVC_RESYNC_SECONDS`: time between two listings of everything, beside the watches."""
    retry_seconds: float = 10.0
    """`RVC_RETRY_SECONDS`: first delay before another attempt; doubles up to `retry_limit_seconds`."""
    retry_limit_seconds: float = 600.0
    """`RVC_RETRY_LIMIT_SECONDS`: longest delay before another attempt."""
    workers: int = 16
    """`RVC_WORKERS`: objects reconciled at the same time."""
    accelerators: Mapping[str, Accelerator] = field(default_factory=builtin_accelerators)
    """The catalogue: model, as in `spec.accelerator.model`, to its entry."""


_NUMBERS: Mapping[str, type[float] | type[int]] = {
    "poll_seconds": float,
    "resync_seconds": float,
    "retry_seconds": float,
    "retry_limit_seconds": float,
    "workers": int,
    "metrics_port": int,
}

_TEXTS: Mapping[str, str] = {
    "liveness": "RVC_LIVENESS",
    "namespace": "POD_NAMESPACE",
    "instance": "POD_NAME",
    "content_producer": CONTENT_PRODUCER_VARIABLE,
}


def load_config(environment: Mapping[str, str]) -> Config:
    """Read the configuration; raises ConfigurationError."""
    values: dict[str, Any] = {
        "trainer_image": _required(environment, "RVC_TRAINER_IMAGE"),
        "server_image": _required(environment, "RVC_SERVER_IMAGE"),
        "namespaces": tuple(filter(None, environment.get("RVC_NAMESPACES", "").replace(" ", "").split(","))),
        "accelerators": _accelerators(environment.get("RVC_ACCELERATORS_FILE", "")),
    }
    for name, kind in _NUMBERS.items():
        variable = f"RVC_{name.upper()}"
        if variable in environment:
            values[name] = _positive(variable, environment[variable], kind)
    for name, variable in _TEXTS.items():
        if environment.get(variable):
            values[name] = environment[variable]
    return Config(**values)


def _required(environment: Mapping[str, str], variable: str) -> str:
    if not environment.get(variable):
        raise ConfigurationError(f"{variable} must name a container image")
    return environment[variable]


def _positive(variable: str, text: str, kind: type[float] | type[int]) -> float | int:
    try:
        value = kind(text)
    except ValueError:
        value = 0
    if not value > 0:
        raise ConfigurationError(f"{variable} must be a number above 0, not {text!r}")
    return value


def _accelerators(path: str) -> dict[str, Accelerator]:
    if not path:
        return builtin_accelerators()
    try:
        entries = msgspec.yaml.decode(Path(path).read_bytes(), type=dict[str, Accelerator])
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigurationError(f"RVC_ACCELERATORS_FILE: {path} cannot be read: {error}") from error
    return builtin_accelerators() | entries
