"""Alerts and dashboard ask for metrics that there are, with labels and reasons that they have."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from rvc_operator.api.reasons import Outcome, Reason
from rvc_operator.build.pod import port
from rvc_operator.metrics.collector import PresentCollector, Sources
from rvc_operator.metrics.meters import Meters
from rvc_operator.metrics.transitions import SUPERSEDED

from .documents import MANIFESTS, ROOT, build, one, some

FOLDER = MANIFESTS / "monitoring"
SERVER_METRICS = (ROOT / "inference-image/rvc_inference/metrics.py").read_text()
FUNCTIONS = {
    "sum", "avg", "rate", "increase", "absent", "topk", "histogram_quantile", "by", "le",
}  # fmt: skip
TARGET_LABELS = {"namespace", "pod"}


def alerts() -> list[dict[str, Any]]:
    (group,) = one(build(FOLDER), "PrometheusRule")["spec"]["groups"]
    return list(group["rules"])


def panels() -> list[dict[str, Any]]:
    return list(json.loads((FOLDER / "dashboard.json").read_text())["panels"])


EXPRESSIONS = [rule["expr"] for rule in alerts()] + [
    target["expr"] for panel in panels() for target in panel["targets"]
]


def known() -> dict[str, set[str]]:
    """Sample names of operator and servers, with their labels."""
    meters = Meters()
    meters.reconciled("VoiceModel", 0.1, ValueError())
    meters.requested("GET", 200)
    meters.voice_written(_voice(), _voice(completionTime="2026-11-23T12:00:00Z"))
    meters.conversion_written({}, {"status": {"completionTime": "2026-11-23T12:00:00Z"}})
    body = {"metadata": {"name": "alice", "namespace": "test"}, "status": {"training": {"gpuSeconds": 1}}}
    sources = Sources(lambda: [body], lambda: [body], lambda: 0, lambda: 1.0, lambda: {("pods", ""): 1.0})
    meters.registry.register(PresentCollector(sources))
    return samples(meters.registry) | served()


def _voice(**training: Any) -> dict[str, Any]:
    return {"status": {"training": {"revision": "a", "attempt": 1} | training}}


def samples(registry: CollectorRegistry) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for family in registry.collect():
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def served() -> dict[str, set[str]]:
    """Of the servers, read off their source: making them takes a voice."""
    pattern = r'(Gauge|Counter)MetricFamily\(\s*"(\w+)",\s*"[^"]*"(?:,\s*labels=\["(\w+)"\])?'
    return {
        name + ("_total" if kind == "Counter" else ""): {label} - {""}
        for kind, name, label in re.findall(pattern, SERVER_METRICS)
    }


def test_the_servers_metrics_are_found() -> None:
    assert served()["rvc_refused_requests_total"] == {"reason"}
    assert "rvc_busy_seconds_total" in served()


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_asks_for_what_there_is(expression: str) -> None:
    assert all(expression.count(a) == expression.count(b) for a, b in ("()", "{}", "[]"))
    metrics = known()
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|by \([^)]*\)", " ", expression)
    names = set(re.findall(r"[a-z_][a-z_0-9]*", bare)) - FUNCTIONS
    assert names
    assert names <= set(metrics), "no such metric"
    labels = {label for name in names for label in metrics[name]} | {"le"} | TARGET_LABELS
    grouped = {
        word.strip() for group in re.findall(r"by \(([^)]*)\)", expression) for word in group.split(",")
    }
    matched = re.findall(r'(\w+)(?:=~|!~|!=|=)"', expression)
    assert grouped | set(matched) <= labels
    for word in re.findall(r'(?:reason|outcome)(?:=~|!~|!=|=)"([^"]*)"', expression):
        assert set(word.split("|")) <= {*Reason, *Outcome, SUPERSEDED}
    for window in re.findall(r"\[([^\]]*)\]", expression):
        assert re.fullmatch(r"\d+[mh]", window)


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: str(rule["alert"]))
def test_an_alert_says_what_it_means_and_links_to_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("info", "warning", "critical")
    assert re.fullmatch(r"\d+m", rule["for"])
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["description"]
    path, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    headings = re.findall(r"^### (\w+)$", (ROOT / path).read_text(), re.MULTILINE)
    assert anchor in [heading.lower() for heading in headings]


def test_every_heading_of_an_alert_is_one() -> None:
    headings = re.findall(r"^### (RVC\w+)$", (ROOT / "docs/operations.md").read_text(), re.MULTILINE)
    assert sorted(headings) == sorted(rule["alert"] for rule in alerts())


def test_panels_lie_side_by_side() -> None:
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels()]
    assert len(set(places)) == len(places) == len({panel["id"] for panel in panels()})
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels())


def test_the_dashboard_is_found_by_its_label() -> None:
    found = one(build(FOLDER), "ConfigMap")
    assert found["metadata"]["labels"] == {"grafana_dashboard": "1"}
    assert json.loads(found["data"]["dashboard.json"])["panels"] == panels()


def test_monitors_scrape_ports_that_pods_have() -> None:
    monitors = {item["metadata"]["name"]: item["spec"] for item in some(build(FOLDER), "PodMonitor")}
    operator = one(build(MANIFESTS / "base"), "Deployment")["spec"]["template"]
    labels = monitors["rvc-operator"]["selector"]["matchLabels"]
    assert labels.items() <= operator["metadata"]["labels"].items()
    ports = [each["name"] for each in operator["spec"]["containers"][0]["ports"]]
    assert [each["port"] for each in monitors["rvc-operator"]["podMetricsEndpoints"]] == ["metrics"]
    assert "metrics" in ports
    assert [each["port"] for each in monitors["rvc-voices"]["podMetricsEndpoints"]] == [port(8080)["name"]]


def test_the_guide_names_what_there_is() -> None:
    text = (ROOT / "docs/operations.md").read_text()
    for folder in re.findall(r"-k ((?:manifests|crds)[\w/-]*)", text):
        assert (ROOT / folder / "kustomization.yaml").exists(), folder
    for target, anchor in re.findall(r"\]\(([\w.]+)#?([\w-]*)\)", text):
        headings = re.findall(r"^##+ (.+)$", (Path(ROOT) / "docs" / target).read_text(), re.MULTILINE)
        assert not anchor or anchor in [heading.lower().replace(" ", "-") for heading in headings]
    config = (ROOT / "operator/rvc_operator/config.py").read_text()
    for variable in set(re.findall(r"`(RVC_\w+)`", text)):
        assert variable in config
