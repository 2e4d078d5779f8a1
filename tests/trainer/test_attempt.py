"""What an attempt does with requests that cannot be met: an error of the right kind that says what to do."""

import threading
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile
import torch

from rvc.contract import Device, ExitCode
from rvc.errors import RvcError
from rvc.exit_codes import exit_code
from rvc.store.keys import TEMPORARY_PREFIX
from rvc_trainer.attempt import run_attempt
from tests.fixtures.base_models import base_models
from tests.trainer.recordings import SETTINGS, request, write_dataset

__all__ = ["base_models"]


@pytest.fixture
def claim(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("RVC_CLAIMS_FOLDER", str(tmp_path / "claims"))
    claim = tmp_path / "claims" / "data"
    claim.mkdir(parents=True)
    return claim


def attempt(tmp_path: Path, **changes: object) -> RvcError:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with pytest.raises(RvcError) as caught:
        run_attempt(request(**changes), scratch, lambda _: None, threading.Event())
    assert str(scratch) not in str(caught.value), "a folder of ours says nothing to the user"
    return caught.value


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        (
            {"dataset_uri": "pvc://data/elsewhere/"},
            ExitCode.DATASET_INVALID,
            "pvc://data/elsewhere/ holds no",
        ),
        ({"dataset_uri": "pvc://other/dataset/"}, ExitCode.DATASET_INVALID, "claim other is not mounted"),
        ({"dataset_uri": "oss://bucket/dataset/"}, ExitCode.PERMISSION_DENIED, "no credentials for OSS"),
        ({"artifact_uri": "pvc://other/voice/"}, ExitCode.DATASET_INVALID, "claim other is not mounted"),
        (
            {"training": msgspec.structs.replace(SETTINGS, multi_speaker=True)},
            ExitCode.CONFIGURATION_INVALID,
            "RVC2",
        ),
        (
            {"training": msgspec.structs.replace(SETTINGS, base_models_uri="pvc://data/models/")},
            ExitCode.CONFIGURATION_INVALID,
            "holds no base models",
        ),
    ],
)
def test_what_is_not_there_is_said(claim, tmp_path, changes, code, words):
    write_dataset(claim)
    error = attempt(tmp_path, **changes)
    assert exit_code(error) == code
    assert words in str(error)


def test_a_folder_without_recordings_is_no_dataset(claim, tmp_path):
    (claim / "dataset").mkdir()
    (claim / "dataset" / "README.txt").write_text("they come tomorrow")
    error = attempt(tmp_path)
    assert exit_code(error) == ExitCode.DATASET_INVALID
    assert "no recordings in pvc://data/dataset/" in str(error)


def test_recordings_that_are_none_are_no_dataset(claim, tmp_path, base_models):
    (claim / "dataset").mkdir()
    (claim / "dataset" / "text.wav").write_text("I am not a recording\n" * 100)
    soundfile.write(claim / "dataset" / "silence.wav", np.zeros(64000), 16000)
    error = attempt(tmp_path)
    assert exit_code(error) == ExitCode.DATASET_INVALID
    assert "text.wav" in str(error)
    assert "silence.wav" in str(error)


@pytest.mark.skipif(torch.cuda.is_available(), reason="an accelerator is here")
def test_an_accelerator_that_is_not_there_is_missed_at_once(claim, tmp_path):
    error = attempt(tmp_path, device=Device.CUDA)
    assert (exit_code(error), error.reason) == (ExitCode.ACCELERATOR_ERROR, "AcceleratorMissing")
    assert "BASE_IMAGE" in str(error)


def test_a_stop_while_fetching_ends_the_attempt(claim, tmp_path):
    write_dataset(claim)
    (tmp_path / "scratch").mkdir()
    stopped = threading.Event()
    stopped.set()
    with pytest.raises(RvcError) as caught:
        run_attempt(request(), tmp_path / "scratch", lambda _: None, stopped)
    assert exit_code(caught.value) == ExitCode.TERMINATED


def test_what_a_killed_attempt_left_half_uploaded_is_removed(claim, tmp_path):
    folder = claim / "voices/demo/ann/0123456789/checkpoints"
    folder.mkdir(parents=True)
    (folder / f"{TEMPORARY_PREFIX}x").write_bytes(b"half")
    (folder / "00000001.json").write_bytes(b"whole")
    attempt(tmp_path)
    assert [path.name for path in folder.iterdir()] == ["00000001.json"]
