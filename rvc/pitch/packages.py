"""Pitch methods that live in packages which not every installation has."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import Any

from rvc.contract import PitchMethod
from rvc.errors import InvalidConfiguration


def optional_package(method: PitchMethod, package: str, module: str) -> tuple[Any, str]:
    """The imported module, and package and version as identity of what it computes.

    Raises `InvalidConfiguration` that says what to install.
    """
    try:
        return import_module(module), f"{package} {version(package)}"
    except ImportError as error:
        raise InvalidConfiguration(
            f"pitchMethod {method} needs the Python package {package}, which cannot be imported here "
            f"({error}); `pip install {package}` beside rvc-operator, or use another pitchMethod",
            reason="PitchMethodUnavailable",
        ) from error
