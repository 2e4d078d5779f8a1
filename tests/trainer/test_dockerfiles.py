"""The two large images share all but their last small layer."""

import os
import shutil
import subprocess
import sys
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


def test_the_operators_image_holds_all_that_it_imports(tmp_path):
    copied = [line.split()[1:] for line in instructions("operator") if line.startswith("COPY ")]
    for *sources, target in copied:
        if not target.startswith("/opt/rvc/app/") or "--from=code" in sources:
            continue
        folder = tmp_path / target.removeprefix("/opt/rvc/app/")
        folder.mkdir(parents=True, exist_ok=True)
        for source in map(REPOSITORY.joinpath, sources):
            if source.is_dir():
                shutil.copytree(source, folder, dirs_exist_ok=True)
            else:
                shutil.copy(source, folder)
    # An installation for development finds modules that the folder lacks: where each is from counts.
    program = """
import sys, rvc_operator.main
for name, module in sys.modules.items():
    if name.startswith("rvc") and module.__file__:
        print(module.__file__)
"""
    command = [sys.executable, "-P", "-c", program]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    modules = subprocess.run(
        command, env=environment, check=True, capture_output=True, text=True
    ).stdout.split()
    assert modules
    assert [module for module in modules if not Path(module).is_relative_to(tmp_path)] == []
