"""`rvc fetch-base` and `rvc add-base`, in another process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rvc.base_models import open_base_model
from rvc.contract import ExitCode
from tests.base_models.test_fairseq import Caller

RMVPE = {"unet.encoder.bn.weight": torch.ones(1).half(), "fc.1.weight": torch.zeros(360, 512).half()}


def rvc(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rvc", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )


def test_files_that_people_have_are_added_for_what_they_are(tmp_path: Path) -> None:
    torch.save(RMVPE, tmp_path / "rmvpe.pt")
    torch.save({"model": {f"discriminators.{i}.convs.0.weight_v": torch.ones(i + 1) for i in range(9)}},
               tmp_path / "f0D48k.pth")  # fmt: skip
    done = rvc(
        "add-base", tmp_path / "rmvpe.pt", tmp_path / "f0D48k.pth", RVC_BASE_MODELS=str(tmp_path / "b")
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].endswith(f"rmvpe.pt is rmvpe, now in {tmp_path / 'b'}")
    assert open_base_model("rvc2-v2-f0-48k-discriminator", tmp_path / "b").tensors
    name = "rvc2-v2-f0-32k-discriminator"
    done = rvc("add-base", tmp_path / "f0D48k.pth", "--as", name, "--base-models", tmp_path / "c", "--json")
    assert json.loads(done.stdout)["added"] == {str(tmp_path / "f0D48k.pth"): name}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("add-base", "evil.pth"), f"evil.pth refers to {os.name}.system"),
        (("add-base", "evil.pth", "evil.pth", "--as", "rmvpe"), "--as names one file"),
        (("add-base",), "FILE"),
        (("fetch-base", "folder", "--only", "rmvp"), "no base model rmvp to download; there are fcpe"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    torch.save({"model": Caller(os.system, ("touch trace",))}, tmp_path / "evil.pth")
    monkeypatch.setenv("PYTHONPATH", os.getcwd())
    monkeypatch.chdir(tmp_path)
    done = rvc(*arguments)
    assert done.returncode == ExitCode.CONFIGURATION_INVALID
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["evil.pth"]


def test_what_was_asked_for_and_cannot_be_reached_names_the_server(tmp_path: Path) -> None:
    done = rvc(
        "fetch-base", tmp_path, "--only", "rmvpe", HF_ENDPOINT="http://127.0.0.1:9", no_proxy="127.0.0.1"
    )
    assert done.returncode == ExitCode.STORE_UNAVAILABLE
    assert "Fetching the RMVPE pitch network, 181 MB" in done.stderr
    assert "http://127.0.0.1:9/lj1995/VoiceConversionWebUI/resolve/main/rmvpe.pt" in done.stderr


def test_the_folder_is_sent_where_pods_read_it(tmp_path: Path) -> None:
    torch.save(RMVPE, tmp_path / "rmvpe.pt")
    folder, place = tmp_path / "b", tmp_path / "there"
    assert rvc("add-base", tmp_path / "rmvpe.pt", "--base-models", folder).returncode == 0
    for sent in (["rmvpe"], []):
        done = rvc("fetch-base", folder, "--only", "rmvpe", "--to", f"file://{place}/", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["sent"] == sent
    assert open_base_model("rmvpe", place).tensors
