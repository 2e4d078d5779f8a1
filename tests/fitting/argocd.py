"""Argo CD's health of an object: our check in manifests/argocd, run by a real Lua interpreter."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import lupa
import yaml

FILE = Path(__file__).resolve().parents[2] / "manifests" / "argocd" / "health.yaml"
PREFIX = "resource.customizations.health.voice.rvc.dev_"


@cache
def checks() -> dict[str, str]:
    """The Lua of each kind."""
    data = yaml.safe_load(FILE.read_text())["data"]
    return {key.removeprefix(PREFIX): text for key, text in data.items()}


def health(obj: dict[str, Any], kind: str = "VoiceModel") -> tuple[str, str]:
    """Status and message of an object as Argo CD shows them."""
    lua, check = _compiled(kind)
    answer = check(lua.table_from(obj, recursive=True))
    return str(answer["status"]), str(answer["message"])


@cache
def _compiled(kind: str) -> tuple[Any, Any]:
    lua = lupa.LuaRuntime(register_eval=False, register_builtins=False)
    return lua, lua.eval(f"function(obj) {checks()[kind]} end")
