"""The commands that look at voices, bring, pass on and mix them."""

import json
from pathlib import Path

import pytest

from rvc.cli import main
from rvc.contract import ExitCode
from tests.community.models import official_content, small_geometry, small_weights, write_index, write_pth


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_pth(tmp_path / "ann.pth")


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    output = capsys.readouterr()
    return code, output.out, output.err


def test_a_voice_is_imported_looked_at_and_exported(model, tmp_path, capsys):
    index = write_index(tmp_path / "ann.index")
    code, out, _ = run(capsys, "import", model, tmp_path / "voice", "--index", index, "--name", "Ann")
    assert (code, out.splitlines()[0]) == (0, "Ann: RVC2 at 40000 Hz, ContentVec768, Auto")
    code, out, _ = run(capsys, "info", tmp_path / "voice", "--json")
    assert json.loads(out)["origin"]["index"] == "ann.index"
    code, out, _ = run(capsys, "export", tmp_path / "voice", tmp_path / "out", "--name", "ann")
    assert code == 0
    assert out.splitlines() == [
        str(tmp_path / "out" / name) for name in ("ann.pth", "added_IVF4_Flat_nprobe_1_ann_v2.index")
    ]
    assert (tmp_path / "out" / "ann.pth").read_bytes() == model.read_bytes()


def test_a_model_file_is_looked_at_as_it_is(model, tmp_path, capsys):
    code, out, _ = run(capsys, "info", model)
    assert code == 0
    assert out.splitlines()[1].startswith("trained elsewhere: model ann.pth")
    assert "claimed.info 20epoch" in out
    index = write_index(tmp_path / "ann.index")
    assert "indexSha256" in json.loads(run(capsys, "info", model, "--index", index, "--json")[1])["origin"]


def test_two_voices_become_one(model, tmp_path, capsys):
    weights = {name: tensor.half() for name, tensor in small_weights(small_geometry(), seed=1).items()}
    other = write_pth(tmp_path / "ben.pth", official_content(weight=weights))
    run(capsys, "import", other, tmp_path / "ben")
    code, out, _ = run(capsys, "merge", model, tmp_path / "ben", "--share", 0.3, tmp_path / "both.pth")
    assert (code, out) == (0, f"{tmp_path / 'both.pth'}\n")
    index = write_index(tmp_path / "ann.index")
    folder = tmp_path / "both"
    code, out, _ = run(capsys, "merge", model, other, folder, "--share", 0.3, "--index", index)
    assert (code, out.splitlines()[0]) == (0, "both: RVC2 at 40000 Hz, ContentVec768, Auto")
    assert "30% of ann" in out
    assert (folder / "index.faiss").read_bytes() == index.read_bytes()
    run(capsys, "export", folder, tmp_path / "out", "--name", "both")
    assert (tmp_path / "out" / "both.pth").read_bytes() == (tmp_path / "both.pth").read_bytes()


def test_an_index_has_no_place_in_a_model_file(model, tmp_path, capsys):
    index = write_index(tmp_path / "ann.index")
    code, _, err = run(capsys, "merge", model, model, tmp_path / "both.pth", "--index", index)
    assert (code, "goes into a voice folder" in err) == (ExitCode.CONFIGURATION_INVALID, True)


def test_a_training_checkpoint_becomes_a_voice(tmp_path, capsys):
    content = {"model": small_weights(small_geometry(), posterior=True), "iteration": 3}
    path = write_pth(tmp_path / "G_2333333.pth", content)
    assert run(capsys, "import", path, tmp_path / "voice")[0] == 0
    assert run(capsys, "export", tmp_path / "voice", tmp_path)[1] == f"{tmp_path / 'voice.pth'}\n"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("import", "none.pth", "voice"), ExitCode.DATASET_INVALID, "none.pth is not there"),
        (("info", "voice.txt"), ExitCode.CONFIGURATION_INVALID, "voice.txt is no PyTorch file"),
        (("export", "none", "out"), ExitCode.DATASET_INVALID, "none holds no voice"),
        (("merge", "a", "b", "c", "--share", "much"), ExitCode.CONFIGURATION_INVALID, "--share"),
    ],
)
def test_errors_are_a_line_and_an_exit_code(tmp_path, monkeypatch, capsys, arguments, code, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "voice.txt").write_text("no voice")
    try:
        found = main(list(arguments))
    except SystemExit as exit:
        found = int(exit.code or 0)
    err = capsys.readouterr().err
    assert (found, len(err.splitlines()) <= 2 or "usage" in err) == (code, True)
    assert words in err
