"""The configuration, and what the process needs to start."""

import subprocess
import sys

import pytest

from rvc_operator.config import Config, ConfigurationError, load_config

from .process import REPOSITORY

IMAGES = {"RVC_TRAINER_IMAGE": "trainer:1", "RVC_SERVER_IMAGE": "server:1"}


def test_images_are_all_that_must_be_said() -> None:
    assert load_config(IMAGES) == Config("trainer:1", "server:1")


def test_the_rest_is_read_from_the_environment() -> None:
    config = load_config(
        IMAGES | {"RVC_NAMESPACES": "a, b,", "RVC_POLL_SECONDS": "0.5", "POD_NAME": "operator-1"}
    )
    assert config.namespaces == ("a", "b")
    assert (config.poll_seconds, config.instance) == (0.5, "operator-1")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"RVC_TRAINER_IMAGE": ""}, "RVC_TRAINER_IMAGE"),
        ({"RVC_WORKERS": "many"}, "RVC_WORKERS"),
        ({"RVC_POLL_SECONDS": "0"}, "RVC_POLL_SECONDS"),
        ({"RVC_ACCELERATORS_FILE": "/nowhere.yaml"}, "RVC_ACCELERATORS_FILE: /nowhere.yaml"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        load_config(IMAGES | changes)


def test_the_operator_loads_no_torch_and_no_core() -> None:
    check = (
        "import sys, rvc_operator.main;"
        "light = {'rvc.choices', 'rvc.contract', 'rvc.errors', 'rvc.proof'};"
        "heavy = {'torch', 'numpy', 'faiss', 'librosa', 'fastapi'} & set(sys.modules);"
        "core = {name for name in sys.modules if name.startswith('rvc.')} - light;"
        "sys.exit(f'{heavy} {core}' if heavy | core else 0)"
    )
    environment = {"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'operator'}"}
    done = subprocess.run([sys.executable, "-c", check], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_missing_image_ends_the_process_with_advice() -> None:
    environment = {"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'operator'}"}
    done = subprocess.run(
        [sys.executable, "-m", "rvc_operator"], env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "rvc-operator: RVC_TRAINER_IMAGE must name a container image\n"
