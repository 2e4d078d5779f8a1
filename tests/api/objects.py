"""Small valid objects to break in tests, and what an API server does to them: defaulting and CEL."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from crds.generate import FOLDER

CEL_KEYWORDS = {"import"}
"""Field names of ours that CEL reserves; Kubernetes spells them `__import__` in rules."""


def voice(**spec: Any) -> dict[str, Any]:
    """The smallest VoiceModel, with some fields of its spec replaced."""
    small = {"dataset": {"uri": "pvc://voices/recordings/"}, "storage": {"uri": "pvc://voices/models/"}}
    return stored("VoiceModel", small | spec)


def conversion(**spec: Any) -> dict[str, Any]:
    """The smallest Conversion, with some fields of its spec replaced."""
    small = {
        "voiceModelRef": {"name": "alice"},
        "input": {"object": "pvc://voices/inbox/hello.wav"},
        "output": {"prefix": "pvc://voices/converted/"},
    }
    return stored("Conversion", small | spec)


def stored(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    """An object as the API server gives it; fields set to None are left out of the spec."""
    return {
        "apiVersion": "voice.rvc.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": "alice", "namespace": "default", "uid": "0b5f", "generation": 1},
        "spec": {name: value for name, value in spec.items() if value is not None},
    }


def crd(plural: str) -> dict[str, Any]:
    """The CRD as it is shipped."""
    path: Path = FOLDER / f"{plural}.yaml"
    document: dict[str, Any] = yaml.safe_load(path.read_text())
    return document


@cache
def schema(plural: str) -> dict[str, Any]:
    """The schema of a whole object, as it is shipped."""
    found: dict[str, Any] = crd(plural)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return found


def fields(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema below the given one with its path, its own included."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from fields(child, f"{path}.{name}")
    if "items" in schema:
        yield from fields(schema["items"], f"{path}[]")
    if "additionalProperties" in schema:
        yield from fields(schema["additionalProperties"], f"{path}{{}}")


def defaulted(schema: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    """The object after the API server's defaulting."""
    result = copy.deepcopy(data)
    for name, child in schema.get("properties", {}).items():
        if name not in result and "default" in child:
            result[name] = copy.deepcopy(child["default"])
        if isinstance(result.get(name), dict):
            result[name] = defaulted(child, result[name])
    return result


def rules(schema: dict[str, Any], data: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Every CEL rule that applies to an object, with the value that is its `self`."""
    for rule in schema.get("x-kubernetes-validations", ()):
        yield rule, data
    for name, child in schema.get("properties", {}).items():
        if isinstance(data.get(name), dict):
            yield from rules(child, data[name])


def escaped(data: Any) -> Any:
    """The value with field names as CEL rules spell them."""
    if isinstance(data, dict):
        return {f"__{key}__" if key in CEL_KEYWORDS else key: escaped(value) for key, value in data.items()}
    return data
