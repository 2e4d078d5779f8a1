"""The guide to ACS says what there is: reasons, paths, names of networks and of the overlay's objects."""

from __future__ import annotations

import re

import pytest
import yaml

from rvc.base_models.fetch import select
from rvc_operator.api.reasons import Outcome, Reason

from .documents import MANIFESTS, ROOT

TEXT = (ROOT / "docs/acs.md").read_text()


def test_every_reason_of_the_table_can_occur() -> None:
    reasons = re.findall(r"^\| `([A-Za-z]+)` \|", TEXT, re.MULTILINE)
    assert len(reasons) > 10
    assert set(reasons) <= {*Reason, *Outcome}


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"(?<![\w$])(?:manifests|[a-z]+-image|operator)/[\w./-]*\w", TEXT)))
)
def test_every_path_is_there(path: str) -> None:
    assert (ROOT / path).exists()


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)", TEXT):
        assert (ROOT / "docs" / target).exists(), target


def test_the_networks_can_be_fetched() -> None:
    (names,) = re.findall(r"fetch-base base-models --to \S+ \\\n +--only (.+)", TEXT)
    assert set(select(names.split())) == set(names.split())


def test_the_variables_are_those_of_the_overlay() -> None:
    overlay = (MANIFESTS / "overlays/acs/deployment.yaml").read_text()
    variables = re.findall(r"`(RVC_[A-Z_]+)`", TEXT)
    assert "RVC_CONTENT_PRODUCER" in variables
    assert all(f"name: {variable}\n" in overlay for variable in variables)


def test_the_names_are_those_of_the_overlay() -> None:
    objects = list(yaml.safe_load_all((MANIFESTS / "overlays/acs/voices.yaml").read_text()))
    for item in objects:
        metadata = item["metadata"]
        assert f"`{metadata['name']}`" in TEXT
        for key in {**metadata.get("labels", {}), **metadata.get("annotations", {})}:
            assert f"{key}=" in TEXT
