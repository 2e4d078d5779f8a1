"""What `kubectl kustomize` makes of the manifests."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.kubectl import program

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = ROOT / "manifests"
OVERLAYS = ("overlays/local", "overlays/acs")


@cache
def build(folder: Path) -> tuple[dict[str, Any], ...]:
    """The objects of a kustomization."""
    done = subprocess.run([program(), "kustomize", str(folder)], capture_output=True, text=True, check=True)
    return tuple(yaml.safe_load_all(done.stdout))


def one(objects: tuple[dict[str, Any], ...], kind: str) -> dict[str, Any]:
    """The only object of a kind."""
    (found,) = (item for item in objects if item["kind"] == kind)
    return found


def some(objects: tuple[dict[str, Any], ...], kind: str) -> list[dict[str, Any]]:
    """All objects of a kind."""
    return [item for item in objects if item["kind"] == kind]
