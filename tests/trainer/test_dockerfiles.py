"""The two large images share all but their last small layer."""

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
IMAGES = ("trainer-image", "inference-image")


def instructions(folder: str) -> list[str]:
    """A Dockerfile's instructions, comments left out."""
    lines = (REPOSITORY / folder / "Dockerfile").read_text().splitlines()
    return (
        "\n".join(line for line in lines if line and not line.startswith("#"))
        .replace("\\\n", "")
        .splitlines()
    )


def test_trainer_and_server_share_the_layers_of_packages_and_base_models():
    trainer, server = map(instructions, IMAGES)
    shared = trainer[: next(i for i, line in enumerate(trainer) if line.endswith("AS code"))]
    assert server[: len(shared)] == shared
    assert any(line.startswith("COPY base-models/") for line in shared)


@pytest.mark.parametrize("folder", [*IMAGES, "operator"])
def test_images_run_without_rights(folder):
    lines = instructions(folder)
    assert "USER 10001:10001" in lines
    assert lines.index("USER 10001:10001") > max(i for i, line in enumerate(lines) if line.startswith("FROM"))
