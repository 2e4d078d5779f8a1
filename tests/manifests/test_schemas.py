"""Every manifest, and every child that the operator makes, fits all Kubernetes versions that we serve."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest
import yaml

from .documents import MANIFESTS, ROOT, build

OLDEST_MINOR = 28
MINORS = sorted({int(version.split(".")[1]) for version in kubernetes_validate.utils.all_versions()})
VERSIONS = [f"1.{minor}" for minor in MINORS if minor >= OLDEST_MINOR]
OTHERS_KINDS = {"PodMonitor", "PrometheusRule", "VoiceModel", "Conversion"}
"""Custom resources: schemas of their own, which other tests hold them against."""
FOLDERS = sorted(path.parent for path in (*MANIFESTS.rglob("kustomization.yaml"), *ROOT.glob("crds/kustom*")))


def documents() -> Iterator[tuple[str, dict[str, Any]]]:
    for folder in FOLDERS:
        yield from ((str(folder.relative_to(ROOT)), one) for one in build(folder))
    for path in sorted((ROOT / "tests" / "operator" / "golden").glob("*.yaml")):
        yield from ((path.stem, one) for one in yaml.safe_load_all(path.read_text()))


def test_the_newest_version_is_newer_than_the_oldest_that_we_serve() -> None:
    assert len(VERSIONS) >= 10


@pytest.mark.parametrize("version", VERSIONS)
def test_every_manifest_fits_the_schemas(version: str) -> None:
    checked, problems = 0, []
    for name, body in documents():
        if body["kind"] in OTHERS_KINDS:
            continue
        try:
            kubernetes_validate.validate(body, version, strict=True)
            checked += 1
        except kubernetes_validate.ValidationError as error:
            where = "/".join(map(str, error.path))
            problems.append(f"{name}: {body['kind']} {body['metadata']['name']}: {where}: {error.message}")
    assert not problems, "\n".join(problems)
    assert checked > 50


def test_a_misspelt_field_is_found() -> None:
    body = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a"}, "spec": {"backofLimit": 1}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(body, VERSIONS[0], strict=True)
