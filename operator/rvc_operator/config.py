"""The operator's configuration: frozen, read once from the environment, printed at start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rvc.contract import CONTENT_PRODUCER_VARIABLE, DEFAULT_CONTENT_PRODUCER

from .accelerators import Accelerator, CatalogueError, builtin_accelerators, read_catalogue


class ConfigurationError(Exception):
    """The operator cannot start as it is configured; the message names the variable and what it must hold."""


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
    hung_seconds: float = 7200.0
    """`RVC_HUNG_SECONDS`: time without any progress after which a trainer is taken for hung and its attempt
    is replaced. Fetching a dataset, cutting it up, and the features of one recording are single steps: the
    limit must be well above the longest of them."""
    workers: int = 16
    """`RVC_WORKERS`: objects reconciled at the same time."""
    accelerators: Mapping[str, Accelerator] = field(default_factory=builtin_accelerators)
    """`RVC_ACCELERATORS_FILE`: the catalogue, from each model as in `spec.accelerator.model` to its entry."""


_NUMBERS: Mapping[str, type[float] | type[int]] = {
    "poll_seconds": float,
    "resync_seconds": float,
    "retry_seconds": float,
    "retry_limit_seconds": float,
    "hung_seconds": float,
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
        return read_catalogue(Path(path))
    except CatalogueError as error:
        raise ConfigurationError(f"RVC_ACCELERATORS_FILE: {path}: {error}") from error
