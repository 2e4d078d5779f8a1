from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.fixtures.sounds import voice_like
from tests.inference.servers import Copier, Server, serving


@pytest.fixture
def claim(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("RVC_CLAIMS_FOLDER", str(tmp_path / "claims"))
    claim = tmp_path / "claims" / "data"
    claim.mkdir(parents=True)
    return claim


@pytest.fixture
def batch(claim) -> Path:
    """A folder with good recordings and everything else that people have in such folders."""
    folder = claim / "in"
    (folder / "deep").mkdir(parents=True)
    for number, name in enumerate(["a.wav", "b.flac", "deep/c.ogg"]):
        soundfile.write(folder / name, voice_like(1 + number / 10, 200, 16000), 16000)
    (folder / "text.wav").write_text("I am not a recording\n" * 100)
    (folder / "zero.wav").touch()
    soundfile.write(folder / "silent.wav", np.zeros(16000), 16000)
    soundfile.write(folder / "nan.wav", np.full(16000, np.nan, np.float32), 16000, subtype="FLOAT")
    (folder / "README.txt").write_text("recorded on a Monday")
    (folder / ".DS_Store").write_bytes(b"nobody looks")
    return folder


@pytest.fixture
def copier() -> Copier:
    return Copier()


@pytest.fixture
def server(copier, claim, tmp_path) -> Iterator[Server]:
    with serving(lambda *_: copier, tmp_path / "scratch") as server:
        yield server
