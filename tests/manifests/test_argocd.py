"""The health check for Argo CD, run by a real Lua interpreter."""

from __future__ import annotations

from typing import Any

import lupa
import pytest
import yaml

from .documents import MANIFESTS

CHECKS = yaml.safe_load((MANIFESTS / "argocd" / "health.yaml").read_text())["data"]


def health(status: dict[str, Any] | None) -> str:
    lua = lupa.LuaRuntime()
    check = lua.eval(f"function(obj) {CHECKS['resource.customizations.health.voice.rvc.dev_Conversion']} end")
    obj = {"metadata": {"generation": 3}} | ({} if status is None else {"status": status})
    return str(check(lua.table_from(obj, recursive=True))["status"])


def conditions(**values: tuple[str, str]) -> list[dict[str, str]]:
    return [
        {"type": kind, "status": status, "reason": reason, "message": "why"}
        for kind, (status, reason) in values.items()
    ]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (None, "Progressing"),
        ({"observedGeneration": -1}, "Progressing"),
        ({"observedGeneration": 2, "conditions": conditions(Ready=("True", "Available"))}, "Progressing"),
        ({"observedGeneration": 3}, "Progressing"),
        ({"observedGeneration": 3, "conditions": conditions(Ready=("Unknown", "Training"))}, "Progressing"),
        ({"observedGeneration": 3, "conditions": conditions(Ready=("True", "Available"))}, "Healthy"),
        (
            {
                "observedGeneration": 3,
                "conditions": conditions(Ready=("True", "Available"), Reconciling=("True", "Training")),
            },
            "Healthy",
        ),
        ({"observedGeneration": 3, "conditions": conditions(Ready=("False", "Suspended"))}, "Suspended"),
        (
            {
                "observedGeneration": 3,
                "conditions": conditions(Ready=("False", "InvalidSpec"), Stalled=("True", "InvalidSpec")),
            },
            "Degraded",
        ),
    ],
)
def test_health_of_every_state(status: dict[str, Any] | None, expected: str) -> None:
    assert health(status) == expected


def test_both_kinds_have_the_check() -> None:
    assert len(CHECKS) == 2
    assert len(set(CHECKS.values())) == 1
